"""Numbers of rasters become the colours that their files mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from painted_rasters import patches, write_raster
from rasterio.enums import ColorInterp

from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import PLAIN, Rendering
from ovsskit.errors import BadImage, BadValue, OvsskitError
from ovsskit.run.rasters.grid import USUAL, Span, Window, lay_grid
from ovsskit.run.rasters.source import reading

NONE = Rendering("none")


def first(path: Path, rendering: Rendering = PLAIN) -> numpy.ndarray:
    """Return the pixels of the first window."""
    with reading(path, rendering) as source:
        [window, *_] = lay_grid(source.size, (0, 0), USUAL)
        pixels: numpy.ndarray = source.read(window).pixels.numpy()
        return pixels


def test_bytes_are_the_colours_that_pillow_reads(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", patches(50, 60))
    assert numpy.array_equal(first(path), read_image(path).pixels.numpy())


def test_any_part_is_that_of_the_whole(tmp_path: Path) -> None:
    data = numpy.random.default_rng(0).integers(0, 255, (3, 90, 80), "uint8")
    path = write_raster(tmp_path / "a.tif", data)
    with reading(path, PLAIN) as source:
        window = Window(Span(10, 50, 20, 30), Span(7, 80, 7, 9))
        found = source.read(window).pixels.numpy()
    assert numpy.array_equal(found, numpy.moveaxis(data, 0, -1)[10:50, 7:80])


def test_colours_are_taken_in_the_order_that_the_file_names(tmp_path: Path) -> None:
    data = numpy.arange(4, dtype="uint8")[:, None, None] * 10 + numpy.zeros((4, 5, 6), "uint8")
    path = write_raster(tmp_path / "a.tif", data)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = (
            ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined,
        )  # fmt: skip
    assert first(path)[0, 0].tolist() == [20, 10, 0]
    assert first(path, Rendering(bands=(4, 2, 1)))[0, 0].tolist() == [30, 10, 0]
    assert first(path, Rendering(bands=(4,)))[0, 0].tolist() == [30, 30, 30]


def test_bands_without_a_meaning_are_refused_until_they_are_named(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.zeros((5, 9, 9), "uint8"))
    with pytest.raises(BadImage, match="Nothing says which of its bands are red") as told:
        first(path)
    assert (told.value.where.file, told.value.there) == (str(path), "It has 5 bands.")
    with pytest.raises(BadImage, match="It has no band 6"):
        first(path, Rendering(bands=(6, 1, 2)))


def test_alpha_is_no_colour_but_where_there_are_numbers(tmp_path: Path) -> None:
    data = numpy.full((4, 9, 9), 255, "uint8")
    data[3, :, 5:] = 0
    path = write_raster(tmp_path / "a.tif", data, photometric="rgb", alpha="unspecified")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = (*file.colorinterp[:3], ColorInterp.alpha)
    pixels = first(path)
    assert (pixels[:, :5] == 255).all()
    assert (pixels[:, 5:] == 0).all()
    with reading(path, PLAIN) as source:
        grid = lay_grid((9, 9), (0, 0), USUAL)
        assert source.read_valid(next(iter(grid)))[1].sum() == 45


def test_indexed_rasters_have_the_colours_of_their_table(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.array([[[0, 1], [2, 1]]], "uint8"))
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (9, 8, 7, 255), 1: (1, 2, 3, 255), 2: (200, 0, 0, 255)})
    assert first(path).tolist() == [[[9, 8, 7], [1, 2, 3]], [[200, 0, 0], [1, 2, 3]]]
    assert first(path, Rendering(bands=(1,)))[1, 0].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("numbers", "facts", "rendering", "greys"),
    [
        ([0, 1], {"nbits": 1}, PLAIN, [0, 255]),
        ([0, 3, 5], {"nbits": 4}, PLAIN, [0, 51, 85]),
        ([0, 200], {"photometric": "miniswhite"}, PLAIN, [255, 55]),
    ],
    ids=["a bit", "four bits", "white is the least"],
)
def test_bytes_that_are_less_than_bytes(
    tmp_path: Path,
    numbers: list[int],
    facts: dict[str, Any],
    rendering: Rendering,
    greys: list[int],
) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.array([[numbers]], "uint8"), **facts)
    assert first(path, rendering)[0, :, 0].tolist() == greys


@pytest.mark.parametrize(
    ("kind", "facts", "rendering", "greys"),
    [
        ("uint16", {}, NONE, [0, 0, 4]),
        ("uint16", {"nbits": 12}, NONE, [0, 6, 62]),
        ("int16", {}, NONE, [0, 1, 8]),
        ("uint16", {}, Rendering((0.0, 1000.0)), [0, 26, 255]),
        ("float32", {}, Rendering((100.0, 1100.0)), [0, 0, 230]),
    ],
)
def test_deep_numbers_become_colours_by_a_fixed_rule(
    tmp_path: Path, kind: str, facts: dict[str, Any], rendering: Rendering, greys: list[int]
) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.array([[[0, 100, 1000]]], kind), **facts)
    assert first(path, rendering)[0, :, 0].tolist() == greys


@pytest.mark.parametrize(
    ("stretch", "proposed"), [("percentile", "20.2,980.2"), ("minmax", "0.3,1000")]
)
def test_a_stretch_by_the_raster_itself_is_refused_with_a_proposal(
    tmp_path: Path, stretch: Any, proposed: str
) -> None:
    data = numpy.arange(1001, dtype="float32").reshape(1, 7, 143)
    data[0, 0, 0] = 0.3
    data = numpy.concatenate([data, numpy.full((1, 3, 143), numpy.nan, "float32")], 1)
    path = write_raster(tmp_path / "a.tif", data)
    with pytest.raises(BadValue, match="read part by part") as told:
        first(path, Rendering(stretch))
    low, _, high = told.value.fix.partition("--stretch ")[2].partition(" ")[0].partition(",")
    expected = [float(one) for one in proposed.split(",")]
    assert [float(low), float(high)] == pytest.approx(expected, rel=0.01)
    assert first(path, Rendering((float(low), float(high)))).max() == 255


@pytest.mark.parametrize("kind", ["complex64", "complex_int16"])
def test_complex_numbers_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=1, dtype=kind,
                       transform=rasterio.Affine(2, 0, 0, 0, 2, 0)):  # fmt: skip
        pass
    with pytest.raises(BadImage, match="holds? numbers of the kinds complex"):
        first(path, NONE)


def test_a_reduced_raster_has_a_pixel_for_every_so_many(tmp_path: Path) -> None:
    data = numpy.repeat(numpy.repeat(patches(11, 13), 7, 1), 7, 2)[:, :75]
    path = write_raster(tmp_path / "a.tif", data)
    with reading(path, PLAIN) as source:
        pixels, notes = source.overview(7)
    assert (pixels.shape, notes) == ((11, 13, 3), ())
    assert (pixels[:10] == numpy.moveaxis(patches(11, 13), 0, -1)[:10]).mean() > 0.8


@pytest.mark.parametrize("name", ["a.xml", "a.txt", "a.tif"])
def test_what_is_no_raster_is_told(tmp_path: Path, name: str) -> None:
    content = f'<VRTDataset rasterXSize="9" rasterYSize="9"><SRS>{name}</SRS></VRTDataset>'
    (tmp_path / name).write_text(content)
    with pytest.raises(BadImage, match="The raster cannot be read") as told:
        first(tmp_path / name)
    assert isinstance(told.value, OvsskitError)
    assert "gdal_translate" in told.value.fix
