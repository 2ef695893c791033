"""Images of five bands are read by every entry as they are by `ovsskit run`."""

from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image
import pytest
import tifffile

import ovsskit
from ovsskit.cli.options import load_plugins
from ovsskit.errors import BadImage, NoImages, OvsskitError

TESTS = Path(__file__).parent.parent
NAMES = ["red", "green", "blue"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of images whose third band shown is bright, but for half of each."""
    load_plugins([TESTS / "toy_stages.py", TESTS / "study/study_stages.py"])
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    numbers = numpy.zeros((8, 8, 5), "uint8")
    numbers[..., 3] = 250
    numbers[:4, :, 1] = 250
    numbers[:4, :, 3] = 0
    for number in range(12):
        path = tmp_path / f"photos/{number}.tif"
        tifffile.imwrite(
            path, numbers + number % 2, photometric="minisblack", planarconfig="contig"
        )
        mask = numpy.full((8, 8), 3, "uint8")
        mask[:4] = 2
        PIL.Image.fromarray(mask).save(tmp_path / f"masks/{number}.png")
    return tmp_path


def test_a_pipeline(photos: Path) -> None:
    pipeline = ovsskit.load(TESTS / "toy.toml")
    path = photos / "photos/0.tif"
    with pytest.raises(BadImage, match="red, green and blue"):
        pipeline(path, NAMES)
    expected = numpy.full((8, 8), 3)
    expected[:4] = 2
    assert numpy.array_equal(pipeline(path, NAMES, bands=(1, 2, 4)).ids, expected)
    [result] = pipeline([path], NAMES, bands=(4, 2, 1), stretch="none")
    assert set(result.ids[4:].reshape(-1).tolist()) == {1}


def test_an_evaluation(photos: Path) -> None:
    classes = photos / "classes.txt"
    classes.write_text("red\ngreen\nblue\n")
    record = ovsskit.run_eval(
        TESTS / "toy.toml",
        images=photos / "photos",
        truth=photos / "masks",
        truth_classes=classes,
        classes=NAMES,
        bands=(1, 2, 4),
        out=photos / "out",
    )
    assert record["images"]["counted"] == 12
    assert record["metrics"]["miou"] == 1
    assert record["identity"]["predictions"]["reading"]["bands"] == [1, 2, 4]


def test_a_study(photos: Path) -> None:
    def study(out: str, bands: tuple[int, ...]) -> ovsskit.OvsskitError | None:
        try:
            ovsskit.run_study(
                TESTS / "study/toy.toml",
                images=[photos / "photos"],
                out=photos / out,
                trials=2,
                bands=bands,
                accept="best",
            )
        except OvsskitError as error:
            return error
        return None

    assert isinstance(study("without", ()), NoImages)
    assert study("with", (1, 2, 4)) is None
    other = study("with", (4, 2, 1))
    assert other is not None
    assert "reading.bands" in str(other)
