"""Marks against OpenCV, with which the released code of CaR draws them."""

from __future__ import annotations

import cv2
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.ops.marks import RED, Mark, blur, draw_marks

ALL: tuple[Mark, ...] = ("blur", "grey", "black", "ellipse", "rectangle", "contour")


def scene(seed: int, height: int, width: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return noise, and a mask of blobs with holes."""
    draw = numpy.random.default_rng(seed)
    smooth = cv2.GaussianBlur(draw.random((height, width)), (5, 5), 2)
    pixels = draw.integers(0, 256, (height, width, 3), numpy.uint8)
    return pixels, smooth > numpy.quantile(smooth, draw.choice([0.3, 0.6, 0.95]))


@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 40))
def test_blur_is_opencvs(seed: int, height: int, width: int) -> None:
    pixels = scene(seed, height, width)[0]
    assert (blur(pixels) == cv2.GaussianBlur(pixels, (15, 15), 0)).all()


@given(st.integers(0, 999), st.integers(2, 40), st.integers(2, 40))
def test_grey_is_opencvs_of_an_image_taken_for_bgr(seed: int, height: int, width: int) -> None:
    pixels, mask = scene(seed, height, width)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[..., None]
    [found] = draw_marks(pixels, mask[None], ["grey"])
    assert (found == numpy.where(mask[..., None], pixels, grey)).all()


@given(st.integers(0, 999), st.integers(2, 40), st.integers(2, 40))
def test_contours_are_opencvs(seed: int, height: int, width: int) -> None:
    pixels, mask = scene(seed, height, width)
    expected = pixels.copy()
    found, _ = cv2.findContours(
        mask.astype(numpy.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    cv2.drawContours(expected, found, -1, RED, 1)
    assert (draw_marks(pixels, mask[None], ["contour"])[0] == expected).all()


@given(st.integers(0, 999), st.integers(2, 40), st.integers(2, 40))
def test_shapes_lie_around_the_centre_of_mass(seed: int, height: int, width: int) -> None:
    pixels, mask = scene(seed, height, width)
    rows, columns = mask.nonzero()
    row, column = int(rows.mean()), int(columns.mean())
    tall, wide = (int(numpy.ptp(one) + 1) // 2 for one in (rows, columns))
    for mark in ("ellipse", "rectangle"):
        expected = pixels.copy()
        if mark == "ellipse":
            cv2.ellipse(expected, (column, row), (wide, tall), 0, 0, 360, RED, 1)
        else:
            corners = (column - wide, row - tall), (column + wide, row + tall)
            cv2.rectangle(expected, *corners, RED, 1)
        assert (draw_marks(pixels, mask[None], [mark])[0] == expected).all()


def test_the_order_of_marks_is_fixed() -> None:
    pixels, mask = scene(1, 20, 30)
    found = draw_marks(pixels, mask[None], ALL)
    assert (found == draw_marks(pixels, mask[None], ALL[::-1])).all()
    blurred_first = draw_marks(pixels, mask[None], ["grey", "blur"])[0][~mask]
    luma = cv2.cvtColor(cv2.GaussianBlur(pixels, (15, 15), 0), cv2.COLOR_BGR2GRAY)
    assert (blurred_first == luma[~mask][:, None]).all()


def test_many_masks_are_as_each_alone() -> None:
    pixels, mask = scene(2, 25, 31)
    masks = numpy.stack([mask, ~mask, mask & (pixels[..., 0] > 99)])
    together = draw_marks(pixels, masks, ALL)
    for one, found in zip(masks, together, strict=True):
        assert (draw_marks(pixels, one[None], ALL)[0] == found).all()


@pytest.mark.parametrize("mark", ["ellipse", "rectangle", "contour"])
def test_a_mask_without_a_pixel_has_no_lines(mark: Mark) -> None:
    pixels, mask = scene(3, 9, 9)
    assert (draw_marks(pixels, numpy.zeros_like(mask)[None], [mark])[0] == pixels).all()


def test_no_mask_gives_no_image() -> None:
    pixels, mask = scene(3, 9, 9)
    assert draw_marks(pixels, mask[None][:0], ALL).shape == (0, 9, 9, 3)
