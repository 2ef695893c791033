"""Rasters count their pixels from the origin of the coordinate system."""

from __future__ import annotations

import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from painted_rasters import NORTH_UP

from ovsskit.run.rasters.georeference import Georeference

TURNED = NORTH_UP * rasterio.Affine.rotation(30) * rasterio.Affine.shear(5, 2)
DEGREES = rasterio.Affine(8.983152841195214e-06, 0, 13.40495, 0, -8.983152841195214e-06, 52.52)
QUARTERS = rasterio.Affine(2.0, 0, 500000.5, 0, -2.0, 5300001.5)
HALVES = rasterio.Affine(30.0, 0, 399975.0, 0, -30.0, 4800015.0)
PLACES = st.sampled_from([NORTH_UP, TURNED, DEGREES, QUARTERS, HALVES])


@given(PLACES, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_part_counts_its_pixels_as_the_whole_does(
    place: rasterio.Affine, down: int, right: int
) -> None:
    row, column = Georeference(None, place).anchor
    part = place * rasterio.Affine.translation(right, down)
    assert Georeference(None, part).anchor == (row + down, column + right)


def test_the_origin_is_the_first_pixel_of_all() -> None:
    assert Georeference(None, NORTH_UP).anchor == (-10600000, 1000000)
    at_origin = rasterio.Affine(0.5, 0, 0, 0, -0.5, 0)
    assert Georeference(None, at_origin).anchor == (0, 0)


@pytest.mark.parametrize(
    "place", [rasterio.Affine.identity(), rasterio.Affine(0.0, 0.0, 5.0, 0.0, 0.0, 5.0)]
)
def test_without_a_place_the_first_pixel_is_the_origin(place: rasterio.Affine) -> None:
    assert Georeference(None, place).anchor == (0, 0)
