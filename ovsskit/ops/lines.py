"""Draw lines and ellipses one pixel wide, the same pixels as OpenCV.

Source: OpenCV, `line` and `ellipse` with 8-connected lines that are not smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from ovsskit._lazy import Bool, numpy

Point = tuple[int, int]
"""A row and a column, which may lie outside the canvas."""

FIXED = 65536
"""Corners of an ellipse are rounded to this part of a pixel, and only then to pixels."""


def draw_line(canvas: Bool[numpy.ndarray, "h w"], start: Point, end: Point) -> None:
    """Set the pixels of a line between two points, as far as it lies on the canvas.

    The line is cut at the canvas before it is drawn, from left to right (Bresenham), so that what
    is left of it may lie a pixel beside the whole line.
    """
    ends = [start, end]
    for axis, length in enumerate(canvas.shape):
        ends = _cut(ends, axis, length)
    if not ends:
        return
    (top, left), (bottom, right) = sorted(ends, key=lambda point: point[1])
    tall, wide = abs(bottom - top), right - left
    shorter, longer = sorted((tall, wide))
    steps = numpy.arange(longer + 1)
    aside = -((longer - 2 * shorter * steps) // max(2 * longer, 1))
    down, along = (steps, aside) if tall > wide else (aside, steps)
    canvas[top + (down if bottom > top else -down), left + along] = True


def draw_ellipse(
    canvas: Bool[numpy.ndarray, "h w"], centre: Point, half_axes: tuple[int, int]
) -> None:
    """Set the pixels of an ellipse, given half its height and half its width; it is a polygon."""
    for start, end in pairwise(_corners(centre, half_axes)):
        draw_line(canvas, start, end)


def _corners(centre: Point, half_axes: tuple[int, int]) -> Iterator[Point]:
    """Yield 5 to 73 corners, more for a larger ellipse; the last is the first again."""
    longest = max(half_axes)
    step = 90 if longest < 3 else 30 if longest < 10 else 18 if longest < 15 else 5
    for angle in range(0, 361, step):
        turn = math.radians(angle)
        row, column = (
            math.floor((middle + half * round(wave, 7)) * FIXED + 0.5)
            for middle, half, wave in zip(
                centre, half_axes, (math.sin(turn), math.cos(turn)), strict=True
            )
        )
        yield (row + FIXED // 2) // FIXED, (column + FIXED // 2) // FIXED


def _cut(ends: list[Point], axis: int, length: int) -> list[Point]:
    """Return the ends of a line without what lies outside along one axis; none if all does."""
    places = [end[axis] for end in ends]
    if not ends or max(places) < 0 or min(places) >= length:
        return []
    for index in (0, 1):
        here, there = ends[index], ends[1 - index]
        place = min(max(here[axis], 0), length - 1)
        if place != here[axis]:
            slope = there[1 - axis] - here[1 - axis], there[axis] - here[axis]
            beside = here[1 - axis] + int((place - here[axis]) * slope[0] / slope[1])
            ends[index] = (beside, place) if axis else (place, beside)
    return ends
