"""Measure how well neighbouring windows agree where the labels of one end and the other's begin."""

from __future__ import annotations

from collections.abc import Container

from ovsskit._lazy import Shaped, numpy
from ovsskit.run.rasters.grid import Grid
from ovsskit.run.rasters.tiles import Tiles


def measure_seams(tiles: Tiles, grid: Grid, empty: Container[str], void: int) -> float | None:
    """Return the fraction of pixels along the seams to which two windows give different labels.

    Each is the first pixel past a seam: its own window labels it, and so does the window before,
    which shows it in its margin. None where no two windows show the same pixels.
    """
    differing, count = 0, 0
    above: dict[int, Shaped[numpy.ndarray, " w"]] = {}
    for row in grid.rows:
        left = None
        for window in grid.in_row(row):
            tile = None if window.name in empty else tiles.get(window)
            place = window.columns.first
            past = above.pop(place, None), left
            left = None
            if tile is None:
                continue
            for theirs, own in zip(past, (tile.labels[0], tile.labels[:, 0]), strict=True):
                if theirs is not None and len(theirs):
                    both = (own != void) & (theirs != void)
                    differing += int((own != theirs)[both].sum())
                    count += int(both.sum())
            above[place], left = tile.below, tile.right
    return differing / count if count else None
