from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
from finished_runs import finish_run
from safetensors import safe_open

import ovsskit
from ovsskit.errors import BadValue

MASK = numpy.array([[1, 2], [3, 3]])
MAPS = numpy.random.default_rng(0).random((3, 4, 5)).astype("float32")


@pytest.fixture
def found(tmp_path: Path) -> Path:
    return finish_run(tmp_path / "run", {"a": MASK}, scores={"a": MAPS})


@pytest.mark.parametrize("to", ["numpy_scores", "safetensors_scores"])
def test_scores_are_those_that_the_run_saved(to: str, found: Path, tmp_path: Path) -> None:
    ovsskit.run_export(found, to, out=tmp_path / "out", classes=["cat", "dog"])
    if to == "numpy_scores":
        with numpy.load(tmp_path / "out/scores/a.npz") as file:
            scores, ids, names = file["scores"], file["ids"], file["names"].tolist()
            assert file["kind"] == "Probabilities"
            assert file["size"].tolist() == [2, 2]
    else:
        with safe_open(tmp_path / "out/scores/a.safetensors", "numpy") as file:
            scores, ids = file.get_tensor("scores"), file.get_tensor("ids")
            about = file.metadata()
            names = json.loads(about["names"])
            assert about["kind"] == "Probabilities"
            assert (about["width"], about["height"]) == ("2", "2")
    assert scores.dtype == numpy.float16
    assert numpy.array_equal(scores, MAPS[:2].astype("float16"))
    assert ids.tolist() == [1, 2]
    assert names == ["dog", "cat"]


@pytest.mark.parametrize("to", ["numpy_scores", "safetensors_scores"])
def test_a_run_without_scores_has_none_to_export(to: str, tmp_path: Path) -> None:
    run = finish_run(tmp_path / "run", {"a": MASK})
    with pytest.raises(BadValue, match="The run saved no scores"):
        ovsskit.run_export(run, to, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scores_have_no_pixels_to_leave_out(found: Path, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="not masks in which pixels could be left out"):
        ovsskit.run_export(found, "numpy_scores", out=tmp_path / "out", min_confidence=0.5)


def test_scores_that_were_taken_away_leave_the_image_out(found: Path, tmp_path: Path) -> None:
    (found / "scores" / "a.npz").unlink()
    record = ovsskit.run_export(found, "numpy_scores", out=tmp_path / "out")
    assert "The scores of the run cannot be read" in record["left_out"][0]["reason"]
