"""What a run tells while it goes on, and who may listen: the command line does, other programs can."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from ovsskit.run.output.record import Costs, PictureRecord


@dataclass(frozen=True)
class Summary:
    """Sum up a run: folder and gallery, what became of the pictures, costs, and the mean IoU where there is truth.

    `done_now` counts the pictures that this command worked on; the others were done before.
    """

    out: Path
    gallery: Path
    records: Sequence[PictureRecord]
    done_now: int
    costs: Costs
    score: float | None


@runtime_checkable
class TakesNotice(Protocol):
    """Hear what a person should know."""

    def notice(self, text: str) -> None:
        """Take note of something that the person should know."""


@runtime_checkable
class Listener(TakesNotice, Protocol):
    """Hear how a run goes."""

    def begin(self, total: int) -> None:
        """Take note of how many pictures there are to do."""

    def tell(self, record: PictureRecord) -> None:
        """Take note of a finished picture."""

    def end(self, summary: Summary) -> None:
        """Take note of how the run ended."""


class Notices(logging.Handler):
    """Pass on each message of the package once, and keep it."""

    def __init__(self, listener: TakesNotice) -> None:
        super().__init__(logging.INFO)
        self.listener, self.seen = listener, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a message."""
        text = record.getMessage()
        if text not in self.seen:
            self.seen.append(text)
            self.listener.notice(text)


@contextmanager
def hearing(listener: TakesNotice) -> Iterator[Notices]:
    """Let a listener hear the messages of the package as long as something goes on."""
    notices, log = Notices(listener), logging.getLogger("ovsskit")
    log.addHandler(notices)
    log.setLevel(logging.INFO)
    try:
        yield notices
    finally:
        log.removeHandler(notices)
