from __future__ import annotations

import json
from pathlib import Path

import numpy
import PIL.Image
import pytest
from finished_runs import block_mask, finish_run
from painted_rasters import patches, write_raster
from run_records import change_images
from typer.testing import CliRunner

from ovsskit.cli.app import app
from ovsskit.errors import BadFile
from ovsskit.files.own.written import measure
from ovsskit.run.finished import FinishedRun

TESTS = Path(__file__).parent.parent
MASK = block_mask([0, 1], [2, 3])


def test_masks_and_confidences_are_those_that_were_written(tmp_path: Path) -> None:
    sure = numpy.linspace(0, 1, MASK.size).reshape(MASK.shape)
    run = FinishedRun(finish_run(tmp_path / "run", {"a": MASK}, confidence={"a": sure}))
    [record] = run.records
    assert numpy.array_equal(run.mask(record), MASK)
    assert run.confidence(record) == pytest.approx(sure, abs=1e-5)
    assert run.vocabulary.names == ("dog", "cat", "grass")


def test_colours_are_those_of_the_run(tmp_path: Path) -> None:
    folder = finish_run(tmp_path / "run", {"a": MASK})
    listed = json.loads((folder / "classes.json").read_text())
    listed[1]["colour"] = "#010203"
    (folder / "classes.json").write_text(json.dumps(listed))
    assert FinishedRun(folder).vocabulary.colours[1] == (1, 2, 3)
    (folder / "classes.json").write_text("{")
    assert len(FinishedRun(folder).vocabulary.colours) == 4


def test_a_mask_with_numbers_of_no_class_is_refused(tmp_path: Path) -> None:
    folder = finish_run(tmp_path / "run", {"a": MASK})
    path = folder / "masks/a.png"
    PIL.Image.fromarray(numpy.full(MASK.shape, 9, "uint8")).save(path)
    change_images(folder, lambda images: images[0]["files"].update({"masks/a.png": measure(path)}))
    run = FinishedRun(folder)
    with pytest.raises(BadFile, match="numbers of no class of the run"):
        run.mask(run.records[0])


def test_what_was_not_saved_is_said(tmp_path: Path) -> None:
    run = FinishedRun(finish_run(tmp_path / "run", {"a": MASK}))
    with pytest.raises(BadFile, match="saved no confidence") as caught:
        run.confidence(run.records[0])
    assert caught.value.fix == "Run again with --save-confidence."
    with pytest.raises(BadFile, match="saved no scores") as caught:
        run.scores(run.records[0])
    assert caught.value.fix == "Run again with --save-scores."


def test_scores_run_no_code(tmp_path: Path) -> None:
    folder = finish_run(
        tmp_path / "run", {"a": MASK}, scores={"a": numpy.ones((3, 2, 2), "float32")}
    )
    path = folder / "scores/a.npz"
    numpy.savez(path, scores=numpy.array([{}], object), ids=[1], names=["x"], kind="x")
    change_images(folder, lambda images: images[0]["files"].update({"scores/a.npz": measure(path)}))
    run = FinishedRun(folder)
    with pytest.raises(BadFile, match="The scores cannot be read"):
        run.scores(run.records[0])


@pytest.mark.parametrize("text", ['{"ovsskit": "1"}', '{"ovsskit": "1", "images": [3]}'])
def test_a_broken_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadFile, match="The record of the run cannot be read"):
        FinishedRun(tmp_path)


def test_masks_and_confidences_of_rasters_are_read(tmp_path: Path) -> None:
    data = patches(90, 100).astype("int16")
    data[:, :20] = -1
    write_raster(tmp_path / "map.tif", data, nodata=-1)
    command = ["run", str(TESTS / "toy.toml"), str(tmp_path / "map.tif"), "--stretch", "0,255"]
    command += ["--plugin", str(TESTS / "toy_stages.py"), "--classes", "red, green, blue"]
    command += ["--save-confidence", "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, command).exit_code == 0
    run = FinishedRun(tmp_path / "out")
    [record] = run.records
    expected = patches(90, 100).argmax(0) + 1
    expected[:20] = 0
    assert numpy.array_equal(run.mask(record), expected)
    assert run.has_confidence(record)
    confidence = run.confidence(record)
    assert (confidence[:20] == record.confidence[0]).all()
    assert (confidence.min(), confidence.max()) == record.confidence
    (tmp_path / "out/masks/map.tif").write_bytes(b"II*\0")
    with pytest.raises(BadFile, match="not the one that the run wrote"):
        run.mask(record)
