"""Workers in processes of their own: the dead are replaced until the study is finished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ovsskit.errors import StudyFailed
from ovsskit.study.search.queue import PAUSE

FAREWELL = 10.0
"""Seconds that workers get to end by themselves."""


@runtime_checkable
class Crew(Protocol):
    """Hold workers in processes of their own, numbered from 0 to `size` - 1."""

    size: int
    advice: str

    def start(self, number: int) -> None:
        """Start a worker, or another in the place of one that has ended."""

    def wait(self, seconds: float) -> None:
        """Wait until one has ended, or for so long."""

    def end_of(self, number: int) -> str | None:
        """Return how a worker has ended; None if it is at work."""

    def close(self, patience: float) -> None:
        """Let workers end by themselves for so many seconds, then end them."""


def work_in_crew(crew: Crew, finished: Callable[[], bool], after: Callable[[], int]) -> None:
    """Let workers take turns until the study is finished; the dead are replaced.

    `after` is called now and then, and returns how many turns are done.

    Raises:
        StudyFailed: workers die again and again, and nothing gets done.
    """
    numbers = range(crew.size)
    deaths, done = 0, after()
    try:
        for number in numbers:
            crew.start(number)
        while not finished():
            crew.wait(PAUSE)
            now = after()
            deaths, done = (0, now) if now > done else (deaths, done)
            for number in numbers:
                end = crew.end_of(number)
                if end is not None and not finished():
                    deaths += 1
                    if deaths > 3 * crew.size:
                        what = f"Workers die before they finish a trial, the last {end}."
                        raise StudyFailed(what, fix=crew.advice)
                    crew.start(number)
    finally:
        crew.close(FAREWELL if finished() else 0)
