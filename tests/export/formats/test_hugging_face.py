from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy
import PIL.Image
import pytest
from finished_runs import CASES, MANY, finish_run, many_classes

import ovsskit
from ovsskit.export.formats import hugging_face


def load(out: Path) -> Any:
    return datasets.load_dataset(str(out), split="train", cache_dir=str(out.parent / "cache"))


@pytest.mark.parametrize("case", [*CASES, "many"])
def test_datasets_reads_images_and_masks(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case] if case in CASES else (many_classes(), MANY)
    run = finish_run(tmp_path / "run", {"a": mask}, names)
    ovsskit.run_export(run, "hugging_face", out=tmp_path / "out")
    [row] = load(tmp_path / "out")
    assert numpy.array_equal(numpy.asarray(row["mask"]), mask)
    with PIL.Image.open(tmp_path / "photos/a.png") as image:
        assert numpy.array_equal(numpy.asarray(row["image"]), numpy.asarray(image))
    assert row["name"] == "a"
    present = sorted(set(mask.ravel().tolist()) - {0})
    assert row["classes"] == [names[number - 1] for number in present]


def test_many_rows_make_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugging_face, "MOST_ROWS", 4)
    monkeypatch.setattr(hugging_face, "MOST_GROUP", 3)
    masks = {f"image {number}": numpy.full((2, 3), number % 4) for number in range(9)}
    run = finish_run(tmp_path / "run", masks)
    ovsskit.run_export(run, "hugging_face", out=tmp_path / "out")
    assert len(list((tmp_path / "out/data").iterdir())) == 3
    found = {row["name"]: numpy.asarray(row["mask"]) for row in load(tmp_path / "out")}
    assert list(found) == list(masks)
    assert all(numpy.array_equal(found[name], masks[name]) for name in masks)


def test_an_image_that_is_gone_is_left_out(tmp_path: Path) -> None:
    run = finish_run(tmp_path / "run", {"a": CASES["empty"][0], "b": CASES["empty"][0]})
    (tmp_path / "photos/a.png").unlink()
    record = ovsskit.run_export(run, "hugging_face", out=tmp_path / "out")
    assert record["left_out"] == [{"name": "a", "reason": "The image no longer exists."}]
    assert [row["name"] for row in load(tmp_path / "out")] == ["b"]
