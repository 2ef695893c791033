"""Feed broken files to a reader, and count what comes of them."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import TypeCheckError

from fuzzing.changes import broken
from ovsskit.errors import OvsskitError

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """Name a reader, good files for it, the file's name, and how it is read."""

    name: str
    good: tuple[bytes, ...]
    file: str
    read: Read


Readers = dict[str, Callable[[], Reader]]
"""Makers of readers, by name."""


@dataclass
class Outcome:
    """Count the results of a reader's files; `crashes` holds other errors, with one file each."""

    fine: int = 0
    explained: int = 0
    slowest: float = 0.0
    crashes: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    @property
    def crashed(self) -> int:
        """Return how many files ended in another error."""
        return sum(count for count, _ in self.crashes.values())


def feed(reader: Reader, count: int, seed: int) -> Outcome:
    """Read so many broken files and count what came of them."""
    outcome, chance = Outcome(), random.Random(f"{reader.name} {seed}")
    for _ in range(count):
        content = broken(chance.choice(reader.good), Path(reader.file).suffix, chance)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, reader.file)
            path.write_bytes(content)
            start = time.perf_counter()
            try:
                reader.read(path)
                outcome.fine += 1
            except Exception as error:
                if explanation := _explanation(error):
                    str(explanation)
                    outcome.explained += 1
                    continue
                key = f"{type(error).__name__}: {str(error)[:90]} ({_where(error)})"
                before, first = outcome.crashes.get(key, (0, content))
                outcome.crashes[key] = before + 1, first
            finally:
                outcome.slowest = max(outcome.slowest, time.perf_counter() - start)
    return outcome


def _explanation(error: BaseException) -> OvsskitError | None:
    """Return what explains an error to a person.

    Under a type checker, values are read when it looks into them; it wraps what that raises.
    """
    if isinstance(error, OvsskitError):
        return error
    if isinstance(error, TypeCheckError) and error.__cause__ is not None:
        return _explanation(error.__cause__)
    return None


def _where(error: BaseException) -> str:
    """Return the last line of ovsskit that an error went through."""
    at, place = error.__traceback__, "?"
    while at is not None:
        name = at.tb_frame.f_code.co_filename
        if "ovsskit/" in name:
            place = f"{name.rpartition('ovsskit/')[2]}:{at.tb_lineno}"
        at = at.tb_next
    return place
