from __future__ import annotations

from collections.abc import Sequence

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.engine.rendering import STRETCHES, Raster, Rendering, Stretch, render
from ovsskit.errors import BadImage


def shown(
    numbers: Sequence[Sequence[float]], dtype: str, stretch: Stretch, white: float
) -> list[int]:
    data = numpy.array(numbers, dtype)[..., None]
    image, _ = render(Raster(data, float(white)), Rendering(stretch))
    greys: list[int] = numpy.asarray(image)[..., 0].ravel().tolist()
    return greys


@given(
    st.lists(st.integers(0, 65535), min_size=1, max_size=40),
    st.sampled_from(STRETCHES),
)
def test_what_is_more_is_never_darker(numbers: list[int], stretch: Stretch) -> None:
    greys = shown([numbers], "uint16", stretch, 65535)
    ordered = [grey for _, grey in sorted(zip(numbers, greys, strict=True))]
    assert ordered == sorted(ordered)
    if stretch != "none" and len(set(numbers)) > 1:
        assert (min(greys), max(greys)) == (0, 255)


@pytest.mark.parametrize("stretch", STRETCHES)
def test_an_image_of_one_number_cannot_be_stretched(stretch: Stretch) -> None:
    assert shown([[0x8123] * 4], "uint16", stretch, 65535) == [0x81] * 4


def test_rules_by_hand() -> None:
    numbers = [[0, 100, 200, 300, 400]]
    assert shown(numbers, "uint16", "minmax", 65535) == [0, 64, 128, 191, 255]
    assert shown(numbers, "uint16", "percentile", 65535) == [0, 61, 128, 194, 255]
    assert shown(numbers, "uint16", "none", 400) == [0, 64, 128, 191, 255]


def test_named_numbers_become_black_and_white_whatever_the_image_holds() -> None:
    numbers = [[50, 100, 200, 300, 400]]
    data = numpy.array(numbers, "uint16")[..., None]
    image, notes = render(Raster(data, 65535.0), Rendering((100.0, 300.0)))
    assert numpy.asarray(image)[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert notes == ("numbers from 100 to 300 became black to white (as named)",)


def test_where_almost_all_is_one_number_the_rest_is_still_seen() -> None:
    numbers = [[0] * 99 + [7]]
    assert shown(numbers, "uint16", "percentile", 65535) == [0] * 99 + [255]


def test_bands_are_stretched_together_so_that_hues_stay() -> None:
    data = numpy.array([[[0, 0, 0], [1000, 500, 250]]], "uint16")
    image, notes = render(Raster(data, 65535.0, colours=True), Rendering("minmax"))
    assert numpy.asarray(image)[0, 1].tolist() == [255, 128, 64]
    assert notes == ("numbers from 0 to 1000 became black to white (least and most)",)


def test_bytes_are_never_stretched() -> None:
    data = numpy.array([[[3, 4, 5]]], "uint8")
    image, notes = render(Raster(data, 255.0), Rendering("minmax"))
    assert (numpy.asarray(image).tolist(), notes) == ([[[3, 4, 5]]], ())


@pytest.mark.parametrize("numbers", [[[float("nan")]], [[float("inf")]]])
def test_an_image_without_a_number(numbers: list[list[float]]) -> None:
    with pytest.raises(BadImage, match="has no value"):
        shown(numbers, "float32", "percentile", 1)
