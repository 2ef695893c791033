"""Rasters are told from images by what they say of their place, by size and by format."""

from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image
import pytest
import rasterio
import tifffile
from painted_rasters import NORTH_UP, patches, write_raster

from ovsskit.run.rasters.finding import find_rasters, is_raster

MANY = 10**6
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write(path: Path, driver: str, **facts: object) -> Path:
    data = numpy.zeros((3, 40, 50), "uint8")
    with rasterio.open(
        path, "w", driver=driver, height=40, width=50, count=3, dtype="uint8", **facts
    ) as file:
        file.write(data)
    return path


def test_what_has_a_place_is_a_raster(tmp_path: Path) -> None:
    whole = write_raster(tmp_path / "geo.tif", patches(40, 50))
    image = tmp_path / "plain.tif"
    PIL.Image.new("RGB", (50, 40)).save(image)
    assert find_rasters([image, whole, tmp_path / "missing.tif"], MANY) == [whole]


@pytest.mark.parametrize(
    ("name", "driver"),
    [("a.img", "HFA"), ("a.jp2", "JP2OpenJPEG"), ("a.bil", "EHdr"), ("a.gpkg", "GPKG")],
)
def test_formats_of_gdal_are_rasters(tmp_path: Path, name: str, driver: str) -> None:
    if driver == "EHdr":
        data = numpy.zeros((1, 40, 50), "uint8")
        path = write_raster(tmp_path / name, data, driver=driver)
    else:
        path = write(tmp_path / name, driver, crs="EPSG:32632", transform=NORTH_UP)
    assert is_raster(path, MANY)


@pytest.mark.parametrize(
    ("ending", "world"), [(".png", ".pgw"), (".jpg", ".jgw"), (".tif", ".tfw")]
)
def test_images_beside_world_files_are_rasters(tmp_path: Path, ending: str, world: str) -> None:
    path = tmp_path / f"a{ending}"
    PIL.Image.new("RGB", (50, 40)).save(path)
    assert not is_raster(path, MANY)
    (tmp_path / f"a{world}").write_text("0.5\n0\n0\n-0.5\n500000\n5300000\n")
    assert is_raster(path, MANY)


def test_the_side_file_of_gdal_counts_only_where_it_names_a_place(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PIL.Image.new("RGB", (50, 40)).save(path)
    beside = tmp_path / "a.png.aux.xml"
    beside.write_text("<PAMDataset><PAMRasterBand/></PAMDataset>")
    assert not is_raster(path, MANY)
    beside.write_text("<PAMDataset><GeoTransform>0,1,0,0,0,-1</GeoTransform></PAMDataset>")
    assert is_raster(path, MANY)


def test_large_tiffs_and_jpeg_2000_are_rasters_but_photographs_are_not(tmp_path: Path) -> None:
    for name in ("a.tif", "a.jp2", "a.png", "a.jpg"):
        PIL.Image.new("RGB", (50, 40)).save(tmp_path / name)
    turned = numpy.zeros((40, 50, 3), "uint8")
    tifffile.imwrite(
        tmp_path / "b.tif", turned, photometric="rgb", extratags=[(274, 3, 1, 6, True)]
    )
    paths = sorted(tmp_path.iterdir())
    assert find_rasters(paths, 2000) == []
    assert [path.name for path in find_rasters(paths, 1999)] == ["a.jp2", "a.tif"]


@pytest.mark.parametrize(
    "content", [b"", b"text", b"II*\0broken", b"\0\0\0\x0cjP  \r\n\x87\nbroken"]
)
def test_broken_files_are_no_rasters(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    assert not is_raster(tmp_path / "a.tif", 1)
