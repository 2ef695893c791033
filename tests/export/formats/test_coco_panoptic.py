from __future__ import annotations

import json
from pathlib import Path

import numpy
import PIL.Image
import pytest
from finished_runs import CASES, MANY, finish_run, many_classes
from transformers.image_transforms import rgb_to_id

import ovsskit


@pytest.mark.parametrize("case", [*CASES, "many"])
def test_transformers_reads_the_segments(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case] if case in CASES else (many_classes(), MANY)
    run = finish_run(tmp_path / "run", {"a": mask}, names)
    ovsskit.run_export(run, "coco_panoptic", out=tmp_path / "out")
    plain = json.loads((tmp_path / "out/panoptic.json").read_text())
    [entry], [image] = plain["annotations"], plain["images"]
    assert (image["width"], image["height"]) == mask.shape[::-1]
    with PIL.Image.open(tmp_path / "out/panoptic" / entry["file_name"]) as segments:
        ids = rgb_to_id(numpy.asarray(segments))
    kinds = {one["id"]: one["category_id"] for one in entry["segments_info"]}
    assert set(kinds) == set(ids.ravel().tolist()) - {0}
    found = numpy.vectorize({0: 0, **kinds}.get)(ids)
    assert numpy.array_equal(found, mask)
    assert all(one["area"] == (mask == one["id"]).sum() for one in entry["segments_info"])
    assert [one["name"] for one in plain["categories"]] == list(names)
    assert not any(one["isthing"] for one in plain["categories"])
