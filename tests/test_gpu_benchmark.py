"""The benchmark of GPUs is rehearsed on the processor, so that its one run on a GPU counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import gpu

FAST = gpu.Limits({"fp32": 1e12, "bf16": 1e13}, 1e12)


def test_it_runs_at_the_smallest_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    file = tmp_path / "numbers.json"
    small = ["--small", "--device", "cpu", "--recipes", "clearclip_tiny", "pnp_albef"]
    status = gpu.main([*small, "--json", str(file)])
    printed, found = capsys.readouterr().out, json.loads(file.read_text())
    assert status == 0, printed
    assert found["labels"] == [["clearclip_tiny", 1.0], ["pnp_albef", 1.0]]
    tasks = [row["task"] for row in found["rows"]]
    begins = ["ITACLIP", "the same, plain", "PnP-OVSS, BLIP, fp32", "PnP-OVSS, BLIP, bf16"]
    begins += ["dense CRF", "of which", "PAMR", "IFSeg", "IFSeg", "study"]
    assert [task.startswith(one) for task, one in zip(tasks, begins, strict=True)] == [True] * 10
    assert all(row["seconds"] > 0 for row in found["rows"])
    assert "100.00% of the labels equal" in found["rows"][0]["note"]
    assert found["limits"]["operations"].keys() == {"fp32", "bf16", "fp16"}


def test_labels_that_differ_and_parts_that_fail_are_said_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> list[gpu.Measured]:
        raise RuntimeError("the device is on fire")

    monkeypatch.setattr(gpu, "compare_recipes", lambda *_: [("a", 1.0), ("b", 0.9)])
    monkeypatch.setitem(gpu.TASKS, "itaclip", fail)
    tasks = ["recipes", "itaclip", "refiners"]
    assert gpu.main(["--small", "--device", "cpu", "--tasks", *tasks]) == 1
    printed = capsys.readouterr().out
    assert "failed: b: 90.000% equal" in printed
    assert "the device is on fire" in printed
    assert "PAMR, 24 x 32 x 3" in printed


def test_nothing_is_begun_after_the_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--small", "--device", "cpu", "--minutes", "0"]
    assert gpu.main([*small, "--tasks", "refiners"]) == 1
    assert "refiners: no time left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("operations", "busy", "bound"),
    [
        (9e11, 1.0, "products of matrices (90%"),
        (1e11, 1.0, "memory and small operations (10%"),
        (9e11, 0.3, "the program: the device is busy 30%"),
    ],
)
def test_what_bounds_a_task(operations: float, busy: float, bound: str) -> None:
    measured = gpu.Measured("", 1.0, None, operations, busy)
    assert measured.bound(FAST).startswith(bound)


def test_operations_are_counted() -> None:
    left = torch.ones(8, 16)
    measured = gpu.measure("", "cpu", lambda: left @ left.T, runs=1, items=2)
    assert measured.operations == 2 * 8 * 16 * 8 / 2
