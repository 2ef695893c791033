"""Lines and ellipses against OpenCV's own."""

from __future__ import annotations

import cv2
import numpy
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.ops.lines import draw_ellipse, draw_line

SIDES = st.integers(1, 40)
PLACES = st.tuples(st.integers(-60, 100), st.integers(-60, 100))
HALVES = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(SIDES, SIDES, PLACES, PLACES)
def test_lines_are_opencvs(height: int, width: int, start: tuple, end: tuple) -> None:
    ours, theirs = numpy.zeros((height, width), bool), numpy.zeros((height, width), numpy.uint8)
    draw_line(ours, start, end)
    cv2.line(theirs, start[::-1], end[::-1], 1)
    assert (ours == theirs).all()


@given(SIDES, SIDES, PLACES, HALVES)
def test_ellipses_are_opencvs(height: int, width: int, centre: tuple, halves: tuple) -> None:
    ours, theirs = numpy.zeros((height, width), bool), numpy.zeros((height, width), numpy.uint8)
    draw_ellipse(ours, centre, halves)
    cv2.ellipse(theirs, centre[::-1], halves[::-1], 0, 0, 360, 1)
    assert (ours == theirs).all()


def test_an_ellipse_without_extent_is_a_point() -> None:
    canvas = numpy.zeros((5, 7), bool)
    draw_ellipse(canvas, (2, 3), (0, 0))
    assert canvas.nonzero() == ([2], [3])
