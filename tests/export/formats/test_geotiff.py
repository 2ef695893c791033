"""Masks and regions lie where the images do, as rasterio and pyogrio read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely
from finished_runs import CASES, MANY, block_mask, finish_run, many_classes

import ovsskit

UTM = "EPSG:32633"
WHERE = rasterio.Affine(0.5, 0.0, 500000.0, 0.0, -0.5, 5300000.0)


def paint(folder: Path, masks: Mapping[str, numpy.ndarray], crs: str | None = UTM) -> list[Path]:
    """Write images that say where they lie."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{name}.tif" for name in masks]
    for path, mask in zip(paths, masks.values(), strict=True):
        height, width = mask.shape
        profile = {"width": width, "height": height, "count": 3, "dtype": "uint8"}
        with rasterio.open(path, "w", crs=crs, transform=WHERE, **profile) as image:
            image.write(numpy.full((3, height, width), 80, "uint8"))
    return paths


@pytest.mark.parametrize("case", [*CASES, "many"])
def test_rasterio_reads_the_mask_in_place(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case] if case in CASES else (many_classes(), MANY)
    images = paint(tmp_path / "photos", {"a": mask})
    run = finish_run(tmp_path / "run", {"a": mask}, names, images=images)
    ovsskit.run_export(run, "geotiff", out=tmp_path / "out")
    with rasterio.open(tmp_path / "out/masks/a.tif") as image:
        assert numpy.array_equal(image.read(1), mask)
        assert image.crs == rasterio.CRS.from_string(UTM)
        assert image.transform == WHERE
        assert image.tags(1)[f"CLASS_{len(names)}"] == names[-1]
        assert image.dtypes == ("uint16" if case == "many" else "uint8",)
        if case != "many":
            assert image.colormap(1)[1][:3] == (244, 62, 37)


@pytest.mark.parametrize("case", [*CASES, "many"])
def test_regions_drawn_again_are_the_mask(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case] if case in CASES else (many_classes(), MANY)
    images = paint(tmp_path / "photos", {"a": mask})
    run = finish_run(tmp_path / "run", {"a": mask}, names, images=images)
    ovsskit.run_export(run, "geopackage", out=tmp_path / "out")
    path = tmp_path / "out/regions.gpkg"
    if case == "empty":
        assert not path.exists()
        return
    about, _, shapes, (image, numbers, words, areas, confidences) = pyogrio.raw.read(path)
    assert rasterio.CRS.from_user_input(about["crs"]) == rasterio.CRS.from_string(UTM)
    pairs = list(zip(shapely.from_wkb(shapes), numbers.tolist(), strict=True))
    drawn = rasterio.features.rasterize(pairs, mask.shape, transform=WHERE, dtype="int32")
    assert numpy.array_equal(drawn, mask)
    assert sum(one.area for one, _ in pairs) == pytest.approx(0.25 * (mask > 0).sum())
    assert areas == pytest.approx([one.area for one, _ in pairs], rel=1e-3)  # of UTM's scale
    assert numpy.isnan(confidences).all()
    assert set(image) == {"a.tif"}
    assert [names[number - 1] for number in numbers] == words.tolist()


def test_coordinate_systems_have_layers_of_their_own(tmp_path: Path) -> None:
    mask = block_mask([1, 2])
    images = paint(tmp_path / "photos", {"a": mask, "b": mask})
    images += paint(tmp_path / "photos", {"c": mask}, "EPSG:32634")
    run = finish_run(tmp_path / "run", dict.fromkeys("abc", mask), images=images)
    ovsskit.run_export(run, "geopackage", out=tmp_path / "out")
    path = tmp_path / "out/regions.gpkg"
    layers = [name for name, _ in pyogrio.list_layers(path)]
    counts = {name: pyogrio.read_info(path, layer=name)["features"] for name in layers}
    assert counts == {"regions 1": 4, "regions 2": 2}


@pytest.mark.parametrize("to", ["geotiff", "geopackage"])
def test_an_image_without_a_place_is_left_out(to: str, tmp_path: Path) -> None:
    mask = block_mask([1, 2])
    plain = finish_run(tmp_path / "plain", {"b": mask})
    images = [*paint(tmp_path / "photos", {"a": mask}), tmp_path / "photos/b.png"]
    run = finish_run(tmp_path / "run", {"a": mask, "b": mask}, images=images)
    record = ovsskit.run_export(run, to, out=tmp_path / "out")
    assert record["images"] == {"exported": 1, "left_out": 1}
    reason = record["left_out"][0]["reason"]
    assert reason.startswith("The image carries no place on earth.")
    assert ovsskit.run_export(plain, to, out=tmp_path / "none")["images"]["exported"] == 0


def test_images_of_other_numbers_and_bands_have_places_too(tmp_path: Path) -> None:
    mask, path = block_mask([1, 2]), tmp_path / "bands.tif"
    height, width = mask.shape
    profile = {"width": width, "height": height, "count": 5, "dtype": "float32"}
    with rasterio.open(path, "w", crs=UTM, transform=WHERE, **profile) as image:
        image.write(numpy.ones((5, height, width), "float32"))
    run = finish_run(tmp_path / "run", {"bands": mask}, images=[path])
    ovsskit.run_export(run, "geotiff", out=tmp_path / "out", images="copy")
    assert (tmp_path / "out/images/bands.tif").read_bytes() == path.read_bytes()
    with rasterio.open(tmp_path / "out/masks/bands.tif") as image:
        assert numpy.array_equal(image.read(1), mask)
        assert image.transform == WHERE
