"""GeoJSON is read by GDAL and lies where the image does, also for rasters of any size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely
from finished_runs import block_mask, finish_run
from painted_rasters import NORTH_UP, patches, write_raster
from typer.testing import CliRunner

import ovsskit
from ovsskit.cli.app import app
from ovsskit.errors import BadValue

TESTS = Path(__file__).parent.parent.parent
DEGREES = rasterio.Affine(1e-4, 0, 13.4, 0, -1e-4, 52.5)
MASK = block_mask([0, 1, 1], [2, 3, 1], [2, 2, 0])


def test_regions_in_degrees_are_the_mask(tmp_path: Path) -> None:
    image = numpy.zeros((3, *MASK.shape), "uint8")
    path = write_raster(tmp_path / "a.tif", image, crs="EPSG:4326", transform=DEGREES)
    sure = numpy.random.default_rng(0).random(MASK.shape)
    run = finish_run(tmp_path / "run", {"a": MASK}, images=[path], confidence={"a": sure})
    ovsskit.run_export(run, "geojson", out=tmp_path / "out")
    about, _, shapes, fields = pyogrio.raw.read(tmp_path / "out/regions/a.geojson")
    assert about["crs"] == "EPSG:4326"
    assert about["fields"].tolist() == ["class", "class_name", "area", "confidence"]
    numbers, names, _, confidences = fields
    polygons = shapely.from_wkb(shapes)
    pairs = list(zip(polygons, numbers.tolist(), strict=True))
    drawn = rasterio.features.rasterize(pairs, MASK.shape, transform=DEGREES, dtype="int32")
    assert numpy.array_equal(drawn, MASK)
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    assert names.tolist() == [["dog", "cat", "grass"][number - 1] for number in numbers]
    expected = [sure[number == MASK].mean() for number in numbers]
    assert confidences == pytest.approx(expected, abs=1e-4)


def test_other_coordinates_become_degrees(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.zeros((3, *MASK.shape), "uint8"))
    run = finish_run(tmp_path / "run", {"a": MASK}, images=[path])
    ovsskit.run_export(run, "geojson", out=tmp_path / "out", simplify=1.0)
    content = json.loads((tmp_path / "out/regions/a.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    assert "confidence" not in content["features"][0]["properties"]
    with rasterio.open(path) as image:
        west, south, east, north = rasterio.warp.transform_bounds(
            image.crs, "EPSG:4326", *image.bounds
        )
    points = shapely.get_coordinates(
        [shapely.geometry.shape(one["geometry"]) for one in content["features"]]
    )
    assert ((points >= (west - 1e-6, south - 1e-6)) & (points <= (east + 1e-6, north + 1e-6))).all()


def test_an_image_without_regions_gives_an_empty_collection(tmp_path: Path) -> None:
    empty = numpy.zeros((20, 30), "int32")
    path = write_raster(tmp_path / "a.tif", numpy.zeros((3, 20, 30), "uint8"))
    run = finish_run(tmp_path / "run", {"a": empty}, images=[path])
    ovsskit.run_export(run, "geojson", out=tmp_path / "out")
    assert json.loads((tmp_path / "out/regions/a.geojson").read_text())["features"] == []


def test_only_formats_of_outlines_simplify(tmp_path: Path) -> None:
    run = finish_run(tmp_path / "run", {"a": MASK})
    with pytest.raises(BadValue, match="holds no outlines"):
        ovsskit.run_export(run, "coco", out=tmp_path / "out", simplify=1.0)


@pytest.mark.parametrize("to", ["geojson", "geopackage", "geotiff", "coco"])
def test_formats_that_go_by_rows_take_rasters_of_any_size(tmp_path: Path, to: str) -> None:
    data = patches(1300, 90)
    write_raster(tmp_path / "map.tif", data)
    command = ["run", str(TESTS / "toy.toml"), str(tmp_path / "map.tif"), "--save-confidence"]
    command += ["--plugin", str(TESTS / "toy_stages.py"), "--classes", "red, green, blue"]
    assert CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run")]).exit_code == 0
    record = ovsskit.run_export(tmp_path / "run", to, out=tmp_path / "out", max_pixels=1000)
    if to == "coco":
        assert record["images"] == {"exported": 0, "left_out": 1}
        return
    assert record["images"] == {"exported": 1, "left_out": 0}
    expected = data.argmax(0) + 1
    if to == "geotiff":
        with rasterio.open(tmp_path / "out/masks/map.tif") as image:
            assert numpy.array_equal(image.read(1), expected)
    if to == "geopackage":
        _, _, shapes, fields = pyogrio.raw.read(tmp_path / "out/regions.gpkg")
        pairs = list(zip(shapely.from_wkb(shapes), fields[1].tolist(), strict=True))
        drawn = rasterio.features.rasterize(
            pairs, expected.shape, transform=NORTH_UP, dtype="int32"
        )
        assert numpy.array_equal(drawn, expected)
        assert (fields[4] > 0.5).all()
