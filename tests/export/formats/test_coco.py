"""What pycocotools reads is the mask."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from finished_runs import CASES, MANY, finish_run, many_classes
from pycocotools.coco import COCO

import ovsskit
from ovsskit.datasets.runs import unpack_counts


def read(path: Path) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def masks_of(coco: Any) -> dict[str, numpy.ndarray]:
    """Return the masks by the stems of the images, drawn by pycocotools."""
    found = {}
    for number, image in coco.imgs.items():
        mask = numpy.zeros((image["height"], image["width"]), "int32")
        for entry in coco.loadAnns(coco.getAnnIds(imgIds=number)):
            pixels = coco.annToMask(entry).astype(bool)
            assert not mask[pixels].any()
            assert pixels.sum() == entry["area"] > 0
            mask[pixels] = entry["category_id"]
            rows, columns = numpy.nonzero(pixels)
            left, top = columns.min(), rows.min()
            box = [left, top, columns.max() - left + 1, rows.max() - top + 1]
            assert entry["bbox"] == box
            counts = unpack_counts(entry["segmentation"]["counts"])
            assert sum(counts) == image["height"] * image["width"]
        found[Path(image["file_name"]).stem] = mask
    return found


@pytest.mark.parametrize("case", CASES)
def test_pycocotools_reads_the_mask(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case]
    run = finish_run(tmp_path / "run", {"a": mask, "b": mask.T}, names)
    ovsskit.run_export(run, "coco", out=tmp_path / "out")
    coco = read(tmp_path / "out" / "annotations.json")
    found = masks_of(coco)
    assert numpy.array_equal(found["a"], mask)
    assert numpy.array_equal(found["b"], mask.T)
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == list(names)
    assert len(coco.anns) == 2 * len(set(mask.ravel()) - {0})


def test_more_than_255_classes(tmp_path: Path) -> None:
    mask = many_classes()
    run = finish_run(tmp_path / "run", {"a": mask}, MANY)
    ovsskit.run_export(run, "coco", out=tmp_path / "out")
    coco = read(tmp_path / "out" / "annotations.json")
    assert numpy.array_equal(masks_of(coco)["a"], mask)
    assert coco.cats[300]["name"] == "class 300"


def test_a_huge_image(tmp_path: Path) -> None:
    mask = numpy.zeros((5000, 6000), "int32")
    mask[100:4900, 50:70], mask[4999, 5999] = 1, 2
    run = finish_run(tmp_path / "run", {"a": mask})
    ovsskit.run_export(run, "coco", out=tmp_path / "out")
    coco = read(tmp_path / "out" / "annotations.json")
    assert numpy.array_equal(masks_of(coco)["a"], mask)


def test_scores_are_mean_confidences_and_evaluators_read_them(tmp_path: Path) -> None:
    mask, confidence = numpy.array([[1, 1, 2]]), numpy.array([[0.5, 0.7, 0.2]])
    run = finish_run(tmp_path / "run", {"a": mask}, confidence={"a": confidence})
    ovsskit.run_export(run, "coco", out=tmp_path / "out")
    path = tmp_path / "out" / "annotations.json"
    results = json.loads(path.read_text())["annotations"]
    assert [one["score"] for one in results] == pytest.approx([0.6, 0.2], abs=1e-4)
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = read(path).loadRes(results)
    assert numpy.array_equal(masks_of(loaded)["a"], mask)
