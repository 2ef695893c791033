"""Mosaics are made of rasters that are there, and of nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy
import pytest
import rasterio
from painted_rasters import NORTH_UP, patches, write_raster

from ovsskit.engine.rendering import PLAIN
from ovsskit.errors import BadImage
from ovsskit.run.output.record import stamp_of
from ovsskit.run.rasters.finding import is_raster
from ovsskit.run.rasters.grid import Span, Window
from ovsskit.run.rasters.source import reading

WINDOW = Window(Span(0, 60, 0, 60), Span(0, 100, 0, 100))


def write_mosaic(path: Path, sources: list[str], band: str = "", relative: int = 1) -> Path:
    """Write a mosaic of sources of 60 x 50 pixels, side by side."""
    colours = ("Red", "Green", "Blue")
    bands = ""
    for number, colour in enumerate(colours, 1):
        parts = "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="{relative}">{name}</SourceFilename>'
            f"<SourceBand>{number}</SourceBand>"
            '<SrcRect xOff="0" yOff="0" xSize="50" ySize="60"/>'
            f'<DstRect xOff="{50 * place}" yOff="0" xSize="50" ySize="60"/></SimpleSource>'
            for place, name in enumerate(sources)
        )
        bands += f'<VRTRasterBand dataType="Byte" band="{number}"{band}>'
        bands += f"<ColorInterp>{colour}</ColorInterp>{parts}</VRTRasterBand>"
    place = ", ".join(map(str, NORTH_UP.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="100" rasterYSize="60"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>{place}</GeoTransform>{bands}</VRTDataset>"
    )
    return path


def test_a_mosaic_is_read_as_its_parts_side_by_side(tmp_path: Path) -> None:
    data = patches(60, 100)
    write_raster(tmp_path / "west.tif", data[:, :, :50])
    write_raster(tmp_path / "east.tif", data[:, :, 50:])
    path = write_mosaic(tmp_path / "all.vrt", ["west.tif", "east.tif"])
    assert is_raster(path, 10**6)
    with reading(path, PLAIN) as source:
        assert source.georeference.transform == NORTH_UP
        assert source.georeference.crs == rasterio.CRS.from_epsg(32632)
        found = source.read(WINDOW).pixels.numpy()
    assert numpy.array_equal(found, numpy.moveaxis(data, 0, -1))


def test_a_mosaic_has_changed_when_a_part_has(tmp_path: Path) -> None:
    for name in ("west.tif", "east.tif"):
        write_raster(tmp_path / name, patches(60, 50))
    path = write_mosaic(tmp_path / "all.vrt", ["west.tif", "east.tif"])
    before = stamp_of(path)
    assert before[0] == sum(one.stat().st_size for one in tmp_path.iterdir())
    os.utime(tmp_path / "east.tif", ns=(before[1] + 7, before[1] + 7))
    assert stamp_of(path) == (before[0], before[1] + 7)
    (tmp_path / "east.tif").unlink()
    assert stamp_of(path)[0] == path.stat().st_size


@pytest.mark.parametrize(
    "name", ["missing.tif", "/vsicurl/https://example.com/a.tif", "https://example.com/a.tif", ""]
)
@pytest.mark.parametrize("relative", [0, 1])
def test_what_is_no_file_is_not_opened(tmp_path: Path, name: str, relative: int) -> None:
    path = write_mosaic(tmp_path / "all.vrt", [name], relative=relative)
    with (
        pytest.raises(BadImage, match="which is not a file here"),
        reading(path, PLAIN),
    ):
        pass


def test_a_part_must_be_a_raster_of_a_known_format(tmp_path: Path) -> None:
    (tmp_path / "map.xml").write_text("<GDAL_WMS><Service name='TMS'/></GDAL_WMS>")
    path = write_mosaic(tmp_path / "all.vrt", ["map.xml"])
    with pytest.raises(BadImage, match="cannot be read") as told, reading(path, PLAIN):
        pass
    assert told.value.where.file == str(tmp_path / "map.xml")


@pytest.mark.parametrize("kind", ["VRTDerivedRasterBand", "VRTRawRasterBand"])
def test_pixels_that_are_computed_are_refused(tmp_path: Path, kind: str) -> None:
    write_raster(tmp_path / "west.tif", patches(60, 50))
    path = write_mosaic(tmp_path / "all.vrt", ["west.tif"], f' subClass="{kind}"')
    with pytest.raises(BadImage, match="computes its pixels"), reading(path, PLAIN):
        pass


def test_a_mosaic_that_holds_itself_is_refused(tmp_path: Path) -> None:
    path = write_mosaic(tmp_path / "all.vrt", ["all.vrt"])
    with pytest.raises(BadImage, match="made of other mosaics"), reading(path, PLAIN):
        pass


@pytest.mark.parametrize("content", [b"", b"<VRTDataset>", b"\xff\xfe"])
def test_a_broken_mosaic_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "all.vrt").write_bytes(content)
    with (
        pytest.raises(BadImage, match="The mosaic cannot be read"),
        reading(tmp_path / "all.vrt", PLAIN),
    ):
        pass
