"""A run from Python is that of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image
import pytest
import rasterio
from painted_rasters import patches, write_raster

import ovsskit
from ovsskit.errors import BadOutput, BadValue, NoImages
from ovsskit.recipe.registry import load_plugin

TESTS = Path(__file__).parent.parent
TOY = TESTS / "toy.toml"
WORDS = ["red", "green", "blue"]


@pytest.fixture(autouse=True)
def toys() -> None:
    load_plugin(TESTS / "toy_stages.py")


def test_images_and_rasters_are_run_and_the_record_is_returned(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (20, 10), "blue").save(tmp_path / "photo.png")
    path = write_raster(tmp_path / "map.tif", patches(150, 130))
    record = ovsskit.run_images(
        TOY,
        [tmp_path / "photo.png", path],
        out=tmp_path / "out",
        classes=WORDS,
        save=["confidence"],
        window=64,
        overlap=16,
    )
    assert record["counts"] == {"done": 2, "failed": 0, "pending": 0}
    assert [one["size"] for one in record["images"]] == [[130, 150], [20, 10]]
    with rasterio.open(tmp_path / "out/masks/map.tif") as mask:
        assert numpy.array_equal(mask.read(1), patches(150, 130).argmax(0) + 1)
    assert (tmp_path / "out/confidence/photo.png").is_file()
    with pytest.raises(BadOutput, match="another run"):
        ovsskit.run_images(TOY, path, out=tmp_path / "out", classes="red", window=64, overlap=16)


def test_an_image_that_fails_is_in_the_record(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    record = ovsskit.run_images(TOY, tmp_path / "broken.png", out=tmp_path / "out", classes=WORDS)
    assert record["counts"]["failed"] == 1
    with pytest.raises(NoImages):
        ovsskit.run_images(TOY, tmp_path / "none.png", out=tmp_path / "out", classes=WORDS)


@pytest.mark.parametrize(("window", "overlap"), [(16, 0), (64, 33), (64, -1)])
def test_windows_have_a_sound_size(tmp_path: Path, window: int, overlap: int) -> None:
    with pytest.raises(BadValue, match="Windows of"):
        ovsskit.run_images(TOY, tmp_path, out=tmp_path / "out", window=window, overlap=overlap)
