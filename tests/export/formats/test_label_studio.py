from __future__ import annotations

import json
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import numpy
import pytest
from finished_runs import CASES, finish_run
from label_studio_converter.brush import decode_from_annotation

import ovsskit
from ovsskit.export.formats import label_studio


def masks_of(task: dict[str, Any]) -> dict[str, numpy.ndarray]:
    """Return the mask of each label, as Label Studio's converter reads it."""
    results = []
    for one in task["predictions"][0]["result"]:
        size = {key: one[key] for key in ("original_width", "original_height")}
        results.append({"type": one["type"], **one["value"], **size})
    layers = decode_from_annotation("label", results)
    return {name.split("-")[1]: layer == 255 for name, layer in layers.items()}


def interface(out: Path) -> list[str]:
    root = xml.etree.ElementTree.parse(out / "interface.xml")
    return [one.attrib["value"] for one in root.iter("Label")]


@pytest.mark.parametrize("case", CASES)
def test_the_converter_reads_the_mask(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case]
    run = finish_run(tmp_path / "run", {"a b": mask}, names)
    ovsskit.run_export(run, "label_studio", out=tmp_path / "out")
    [task] = json.loads((tmp_path / "out/tasks-1.json").read_text())
    assert task["data"] == {"image": "/data/local-files/?d=a%20b.png"}
    found = masks_of(task)
    assert interface(tmp_path / "out") == list(names)
    assert set(found) == {names[number - 1] for number in set(mask.ravel().tolist()) - {0}}
    assert all(numpy.array_equal(found[name], mask == names.index(name) + 1) for name in found)


def test_scores_are_confidences(tmp_path: Path) -> None:
    mask, sure = numpy.array([[0, 1, 1, 2]]), numpy.array([[0.1, 0.5, 0.7, 0.2]])
    run = finish_run(tmp_path / "run", {"a": mask}, confidence={"a": sure})
    ovsskit.run_export(run, "label_studio", out=tmp_path / "out")
    [task] = json.loads((tmp_path / "out/tasks-1.json").read_text())
    [prediction] = task["predictions"]
    assert prediction["score"] == pytest.approx(0.375, abs=1e-4)
    assert [one["score"] for one in prediction["result"]] == pytest.approx([0.6, 0.2], abs=1e-4)


def test_many_tasks_make_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_studio, "MOST_TASKS", 2)
    mask = CASES["one pixel"][0]
    run = finish_run(tmp_path / "run", dict.fromkeys("abcde", mask))
    ovsskit.run_export(run, "label_studio", out=tmp_path / "out")
    files = sorted((tmp_path / "out").glob("tasks-*.json"))
    assert [len(json.loads(path.read_text())) for path in files] == [2, 2, 1]
