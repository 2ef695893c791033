from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
import supervision
from finished_runs import CASES, MANY, finish_run, many_classes
from supervision.detection.compact_mask import CompactMask

import ovsskit


def load(path: Path) -> supervision.Detections:
    """Read a file as the documentation says."""
    plain = json.loads(path.read_text())
    xyxy = numpy.array(plain["xyxy"], "float32").reshape(-1, 4)
    sure = plain["confidence"]
    return supervision.Detections(
        xyxy=xyxy,
        mask=CompactMask.from_coco_rle(plain["masks"], xyxy, tuple(plain["image_shape"])),
        class_id=numpy.array(plain["class_id"], int),
        confidence=None if sure is None else numpy.array(sure, float),
        data={"class_name": numpy.array(plain["class_name"], str)},
    )


@pytest.mark.parametrize("case", [*CASES, "many"])
def test_detections_have_the_mask(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case] if case in CASES else (many_classes(), MANY)
    run = finish_run(tmp_path / "run", {"a": mask}, names)
    ovsskit.run_export(run, "supervision", out=tmp_path / "out")
    found = load(tmp_path / "out/detections/a.json")
    assert len(found) == len(set(mask.ravel().tolist()) - {0})
    drawn = numpy.zeros(mask.shape, int)
    for pixels, number in zip(found.mask.to_dense(), found.class_id, strict=True):
        drawn[pixels] = number
    assert numpy.array_equal(drawn, mask)
    assert [names[number - 1] for number in found.class_id] == found["class_name"].tolist()
    assert found.confidence is None


def test_a_huge_image_and_confidences(tmp_path: Path) -> None:
    mask = numpy.zeros((3000, 4000), "int32")
    mask[2999, 3999], mask[:50] = 2, 1
    sure = numpy.where(mask == 1, 0.25, 1.0)
    run = finish_run(tmp_path / "run", {"a": mask}, confidence={"a": sure})
    ovsskit.run_export(run, "supervision", out=tmp_path / "out")
    found = load(tmp_path / "out/detections/a.json")
    assert found.confidence == pytest.approx([0.25, 1.0], abs=1e-4)
    assert found.mask.area.tolist() == [200_000, 1]
    assert found.xyxy.tolist() == [[0, 0, 3999, 49], [3999, 2999, 3999, 2999]]
