"""What is written some rows at a time is read back by rasterio as one raster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
import rasterio
from painted_rasters import NORTH_UP, UTM

from ovsskit.files.writing import write_whole
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.rasters.georeference import Georeference
from ovsskit.run.rasters.raster_file import BLOCK, void_of, write_geotiff, write_mask_geotiff

PLACE = Georeference(rasterio.CRS.from_string(UTM), NORTH_UP)


def strips(data: numpy.ndarray) -> Iterator[numpy.ndarray]:
    return (data[top : top + BLOCK] for top in range(0, len(data), BLOCK))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(1, 1), (BLOCK, BLOCK + 1), (2 * BLOCK + 7, 30)])
def test_strips_become_one_raster(tmp_path: Path, size: tuple[int, int], kind: str) -> None:
    data = numpy.random.default_rng(1).integers(0, 250, size).astype(kind)
    path = tmp_path / "a.tif"
    write_whole(path, lambda file: write_geotiff(file, size, PLACE, strips(data), kind))
    assert [one.name for one in tmp_path.iterdir()] == ["a.tif"]
    with rasterio.open(path) as image:
        assert (image.crs, image.transform, image.nodata) == (PLACE.crs, NORTH_UP, None)
        assert numpy.array_equal(image.read(1), data)


def test_a_mask_of_large_numbers_has_names_and_no_colours(tmp_path: Path) -> None:
    vocabulary = make_vocabulary(["grass", "sand"], [700, 3])
    data = numpy.full((9, 9), 700, "int32")
    path = tmp_path / "a.tif"
    write_whole(
        path,
        lambda file: write_mask_geotiff(
            file, (9, 9), PLACE, strips(data), vocabulary, nodata=void_of(vocabulary)
        ),
    )
    with rasterio.open(path) as image:
        assert (image.dtypes, image.nodata) == (("uint16",), 65535)
        assert image.tags(1)["CLASS_700"] == "grass"
        with pytest.raises(ValueError, match="color table"):
            image.colormap(1)


def test_where_256_classes_fill_8_bits_void_has_16(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(1, 256)]
    assert void_of(make_vocabulary(names)) == 65535
    assert void_of(make_vocabulary(names[:-1])) == 255
