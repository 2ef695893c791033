"""Read a column of parquet files forward, a few rows at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from ovsskit.errors import BadFile, OvsskitError, Place

BATCH, KEPT = 8, 3
"""Rows that are read at once, and how many times as many of each column are in memory."""


class Column:
    """Read a column of files, which `opened` opens, and keep the rows around the last.

    `starts` are the rows at which the files begin, and the number of all rows.
    """

    def __init__(
        self, name: str, files: Sequence[Path], starts: Sequence[int], opened: Callable[[Path], Any]
    ) -> None:
        self._name, self._files, self._starts, self._opened = name, files, starts, opened
        self._lock = Lock()
        self._kept: deque[tuple[int, Any]] = deque(maxlen=KEPT)
        self._file, self._next, self._batches = -1, 0, iter(())

    def value(self, row: int) -> Any:
        """Return what stands in a row.

        Raises:
            BadFile: the file is broken.
        """
        with self._lock:
            for first, batch in self._kept:
                if first <= row < first + batch.num_rows:
                    return batch.column(0)[row - first].as_py()
            first, batch = self._read(row)
            return batch.column(0)[row - first].as_py()

    def _read(self, row: int) -> tuple[int, Any]:
        """Read on to a row, or begin again at the row group that has it."""
        index = bisect_right(self._starts, row) - 1
        try:
            with telling(self._files[index]):
                if index != self._file or row < self._next:
                    self._begin(index, row)
                while row >= self._next:
                    self._kept.append((self._next, next(self._batches)))
                    self._next += self._kept[-1][1].num_rows
        except BadFile:
            self._file = -1
            raise
        return self._kept[-1]

    def _begin(self, index: int, row: int) -> None:
        file = self._opened(self._files[index])
        metadata, start = file.metadata, self._starts[index]
        group = 0
        while row >= start + metadata.row_group(group).num_rows:
            start += metadata.row_group(group).num_rows
            group += 1
        left = list(range(group, metadata.num_row_groups))
        self._batches = file.iter_batches(BATCH, row_groups=left, columns=[self._name])
        self._file, self._next = index, start
        self._kept.clear()


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what readers of broken files raise, which may be anything, into a sentence."""
    try:
        yield
    except OvsskitError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        what = f"The parquet file cannot be read: {reason}."
        raise BadFile(what, where=Place(str(path))) from error
