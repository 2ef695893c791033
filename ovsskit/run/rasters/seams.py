"""Put what windows found together, with seams where neighbouring windows agree.

Two neighbours both show the pixels of their margins. The seam between them begins and ends where
cells meet, and in between bends, within the margins, around what they label differently. It follows
from these two windows alone, so that it does not depend on where the raster ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ovsskit._lazy import Bool, Int, Shaped, numpy
from ovsskit.ops.seam_path import seam_path
from ovsskit.run.rasters.grid import Grid, Span, Window
from ovsskit.run.rasters.raster_file import BLOCK
from ovsskit.run.rasters.tiles import Tiles

Side = Literal["above", "below", "left", "right"]
SIDES: tuple[Side, ...] = ("above", "below", "left", "right")
ROWS_KEPT = 3
"""Rows of windows whose labels stay in memory: a window and its neighbours."""


@dataclass
class Seams:
    """Know the seams of a raster; `empty` names the windows that have no tile.

    `differing` and `length` count pixels along all seams that were asked for: those to which the
    windows on both sides give different labels, and all.
    """

    tiles: Tiles
    grid: Grid
    empty: Container[str]
    differing: int = 0
    length: int = 0
    _paths: dict[tuple[Window, Window], Int[numpy.ndarray, " along"]] = field(default_factory=dict)
    _labels: OrderedDict[Window, Shaped[numpy.ndarray, "h w"]] = field(default_factory=OrderedDict)

    @property
    def share(self) -> float | None:
        """Return the fraction of the seams at which neighbours differ; None if there is no seam."""
        return self.differing / self.length if self.length else None

    def strips(
        self, fill: int | float, kind: str, name: str = "labels"
    ) -> Iterator[Shaped[numpy.ndarray, "rows w"]]:
        """Yield a field of all tiles, `BLOCK` rows at a time; `fill` stands where there is none.

        Raises:
            CannotWrite: a tile is missing or broken.
        """
        height, width = self.grid.size
        for top in range(0, height, BLOCK):
            strip = numpy.full((min(BLOCK, height - top), width), fill, kind)
            bottom = top + len(strip)
            for window in self.grid.between(top, bottom):
                if window.name not in self.empty:
                    rows, columns = window
                    first, last = max(rows.first, top), min(rows.last, bottom)
                    part = self.kept(window, name)[first - rows.first : last - rows.first]
                    strip[first - top : last - top, columns.first : columns.last] = part
            yield strip

    def kept(self, window: Window, name: str) -> Shaped[numpy.ndarray, "rows columns"]:
        """Return a field of the tiles for the cell of a window, neighbours' past their seams.

        Raises:
            CannotWrite: a tile is missing or broken.
        """
        found = self._whole(window, name)[window.inner].copy()
        rows, columns = (numpy.arange(span.first, span.last) for span in window)
        rows = rows[:, None]
        for side, other in self._neighbours(window):
            if side == "above":
                past = rows < window.rows.first + self._path(other, window)
            elif side == "below":
                past = rows >= window.rows.last + self._path(window, other)
            elif side == "left":
                past = columns < window.columns.first + self._path(other, window)[:, None]
            else:
                past = columns >= window.columns.last + self._path(window, other)[:, None]
            if past.any():
                down, across = past.nonzero()
                down += window.rows.first - other.rows.start
                across += window.columns.first - other.columns.start
                found[past] = self._whole(other, name)[down, across]
        return found

    def _neighbours(self, window: Window) -> Iterator[tuple[Side, Window]]:
        """Yield the windows beside one that have a tile."""
        rows, columns = self.grid.rows, self.grid.columns
        row, column = rows.index(window.rows), columns.index(window.columns)
        places = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        for side, (down, across) in zip(SIDES, places, strict=True):
            if 0 <= down < len(rows) and 0 <= across < len(columns):
                other = Window(rows[down], columns[across])
                if other.name not in self.empty:
                    yield side, other

    def _path(self, first: Window, second: Window) -> Int[numpy.ndarray, " along"]:
        """Return how far the seam between two windows moves, row by row or column by column."""
        if (first, second) not in self._paths:
            one, other = self._whole(first, "labels"), self._whole(second, "labels")
            beside = first.rows == second.rows
            path, differing = (
                _lead(one, other, first, second)
                if beside
                else _lead(one.T, other.T, Window(*first[::-1]), Window(*second[::-1]))
            )
            self._paths[first, second] = path
            self.differing += int(differing.sum())
            self.length += len(differing)
        return self._paths[first, second]

    def _whole(self, window: Window, name: str) -> Shaped[numpy.ndarray, "h w"]:
        """Return a field of a tile, margins and all; labels of the last windows are kept."""
        if name != "labels":
            return self.tiles.need(window, name)
        found = self._labels.pop(window, None)
        self._labels[window] = found = self.tiles.need(window, name) if found is None else found
        while len(self._labels) > ROWS_KEPT * len(self.grid.columns):
            self._labels.popitem(last=False)
        return found


def _lead(
    one: Shaped[numpy.ndarray, "h w"],
    other: Shaped[numpy.ndarray, "h w"],
    first: Window,
    second: Window,
) -> tuple[Int[numpy.ndarray, " along"], Bool[numpy.ndarray, " seam"]]:
    """Return the path of the seam between windows side by side, and where they differ along it.

    It moves as far as both windows show the pixels at its sides, and by half a cell at most.
    Without overlap nothing is known of the seam.
    """
    edge, along = second.columns.first, slice(*_within(first.rows))
    shown = min(edge - second.columns.start, first.columns.stop - edge)
    cells = (span.last - span.first for span in (first.columns, second.columns))
    reach = min(shown, min(cells) // 2 + 1)
    here = one[along, edge - reach - first.columns.start :][:, : 2 * reach]
    there = other[along, edge - reach - second.columns.start :][:, : 2 * reach]
    differ = here != there
    path = seam_path(differ)
    if not reach:
        return path, numpy.zeros(0, bool)
    return path, differ[numpy.arange(len(path)), path + reach]


def _within(span: Span) -> tuple[int, int]:
    return span.first - span.start, span.last - span.start
