from __future__ import annotations

import json
from pathlib import Path

import numpy
import PIL.Image
import pytest
from finished_runs import block_mask, finish_run

from ovsskit.errors import BadFile
from ovsskit.files.own import measure
from ovsskit.run.finished import FinishedRun

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
    run = FinishedRun(folder)
    run.records[0].files["masks/a.png"] = measure(path)
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
    run = FinishedRun(folder)
    run.records[0].files["scores/a.npz"] = measure(path)
    with pytest.raises(BadFile, match="The scores cannot be read"):
        run.scores(run.records[0])


@pytest.mark.parametrize("text", ['{"ovsskit": "1"}', '{"ovsskit": "1", "images": [3]}'])
def test_a_broken_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadFile, match="The record of the run cannot be read"):
        FinishedRun(tmp_path)
