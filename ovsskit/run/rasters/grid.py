"""Lay windows over a raster, on a grid that does not depend on where the raster ends.

Cells of a fixed side tile the whole plane, from the origin of the raster's coordinate system on. A
window shows a cell and a margin around it, and its labels are kept for the cell, with seams to its
neighbours that bend within the margins (`seams.py`). So a raster and a part that was cut out
of it have the same windows, but for those that reach over an edge. Such a window is moved inside,
so that all windows show as many pixels, and a network sees the same ground resolution everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ovsskit.errors import BadValue, Place

SMALLEST = 32
"""The least side of a window."""


@dataclass(frozen=True)
class WindowSize:
    """Say how large windows are, and how much of it neighbours share, both in pixels."""

    side: int = 512
    overlap: int = 128

    @property
    def stride(self) -> int:
        """Return the side of a cell: the distance from one window to the next."""
        return self.side - self.overlap


def choose_windows(side: int, overlap: int) -> WindowSize:
    """Return the size of windows.

    Raises:
        BadValue: they are too small, or neighbours would share more than half of one.
    """
    if side < SMALLEST:
        what = f"Windows of {side} pixels are too small."
        fix = f"Give at least {SMALLEST}."
        raise BadValue(what, fix=fix, where=Place("--window"))
    if not 0 <= overlap <= side // 2:
        what = f"Windows of {side} pixels cannot share {overlap}."
        fix = f"Give at most half of a window, {side // 2}."
        raise BadValue(what, fix=fix, where=Place("--overlap"))
    return WindowSize(side, overlap)


USUAL = WindowSize()
"""About the photographs that recipes were made for."""


class Span(NamedTuple):
    """Say which pixels of a side a window shows, and which of them are kept (ends excluded)."""

    start: int
    stop: int
    first: int
    last: int


class Window(NamedTuple):
    """Hold the rows and the columns of a window."""

    rows: Span
    columns: Span

    @property
    def name(self) -> str:
        """Return a name that no other window of the raster has."""
        return f"{self.rows.start}_{self.columns.start}"

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def inner(self) -> tuple[slice, slice]:
        """Return where the kept pixels lie in the window."""
        return tuple(  # type: ignore[return-value]
            slice(span.first - span.start, span.last - span.start) for span in self
        )


@dataclass(frozen=True)
class Grid:
    """Hold the windows of a raster: one for each row and column of cells, from the top on."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Window]:
        return (Window(row, column) for row in self.rows for column in self.columns)

    def in_row(self, row: Span) -> Iterator[Window]:
        """Yield the windows of a row, from the left on."""
        return (Window(row, column) for column in self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the raster in pixels."""
        return self.rows[-1].last, self.columns[-1].last

    def between(self, top: int, bottom: int) -> Iterator[Window]:
        """Yield the windows that keep pixels of these rows."""
        for row in self.rows:
            if row.first < bottom and top < row.last:
                yield from self.in_row(row)


def lay_grid(size: tuple[int, int], anchor: tuple[int, int], windows: WindowSize) -> Grid:
    """Return the windows of a raster of this height and width.

    `anchor` is the row and the column of its first pixel, counted from the origin of the
    coordinate system.
    """
    pairs = zip(size, anchor, strict=True)
    return Grid(*(tuple(lay_spans(length, first, windows)) for length, first in pairs))


def lay_spans(length: int, anchor: int, windows: WindowSize) -> list[Span]:
    """Return the windows along a side; those that come to show the same are one."""
    side, stride = min(windows.side, length), windows.stride
    spans: dict[int, Span] = {}
    for cell in range(anchor // stride, (anchor + length - 1) // stride + 1):
        begin = cell * stride - anchor
        start = min(max(begin - windows.overlap // 2, 0), length - side)
        first, last = max(begin, 0), min(begin + stride, length)
        if start in spans:
            first = spans[start].first
        spans[start] = Span(start, start + side, first, last)
    return list(spans.values())
