from __future__ import annotations

from pathlib import Path

import numpy
import pandas
import pytest
from finished_runs import CASES, MANY, finish_run, many_classes

import ovsskit


@pytest.mark.parametrize("case", CASES)
def test_pandas_reads_the_areas_of_the_mask(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case]
    run = finish_run(tmp_path / "run", {"a": mask}, names)
    ovsskit.run_export(run, "areas", out=tmp_path / "out")
    table = pandas.read_csv(tmp_path / "out" / "areas.csv")
    numbers, counts = numpy.unique(mask, return_counts=True)
    assert table["class"].tolist() == numbers.tolist()
    assert table["pixels"].tolist() == counts.tolist()
    assert table["pixels"].sum() == mask.size
    assert table["fraction"].sum() == pytest.approx(1)
    assert table["class_name"].tolist() == [["background", *names][one] for one in numbers]
    assert table["confidence"].isna().all()


def test_more_than_255_classes_and_confidences(tmp_path: Path) -> None:
    mask = many_classes()
    sure = numpy.where(mask == 300, 0.75, 0.25)
    run = finish_run(tmp_path / "run", {"a": mask}, MANY, confidence={"a": sure})
    ovsskit.run_export(run, "areas", out=tmp_path / "out")
    table = pandas.read_csv(tmp_path / "out" / "areas.csv")
    assert len(table) == 300
    last = table.iloc[-1]
    assert (last["class"], last["pixels"]) == (300, 2)
    assert last["confidence"] == pytest.approx(0.75, abs=1e-4)
