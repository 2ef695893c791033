from __future__ import annotations

from pathlib import Path

import cv2
import numpy
import pytest
import yaml
from finished_runs import CASES, finish_run

import ovsskit


@pytest.mark.parametrize("case", CASES)
def test_masks_are_read_as_ultralytics_reads_them(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case]
    run = finish_run(tmp_path / "run", {"a": mask}, names)
    ovsskit.run_export(run, "ultralytics_semantic", out=tmp_path / "out", images="link")
    data = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert data["names"] == dict(enumerate(["background", *names]))
    images = tmp_path / "out" / data["train"]
    assert [path.name for path in images.iterdir()] == ["a.png"]
    masks = Path(str(images).replace("/images/", f"/{data['masks_dir']}/"))
    found = cv2.imread(str(masks / "a.png"), cv2.IMREAD_UNCHANGED)
    assert found.dtype == numpy.uint8
    assert numpy.array_equal(found, mask)


def test_a_huge_image(tmp_path: Path) -> None:
    mask = numpy.zeros((4000, 5000), "int32")
    mask[3999, 4999] = 2
    run = finish_run(tmp_path / "run", {"a": mask})
    ovsskit.run_export(run, "ultralytics_semantic", out=tmp_path / "out")
    found = cv2.imread(str(tmp_path / "out/masks/train/a.png"), cv2.IMREAD_UNCHANGED)
    assert numpy.array_equal(found, mask)
