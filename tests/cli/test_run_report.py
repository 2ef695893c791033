"""The numbers that a run prints at its end are those of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsskit.cli.run_report import Report, rate
from ovsskit.run.callbacks import Summary
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.output.records import Records

OUT = Path("out")


def test_the_summary_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    records = [ImageRecord(f"p{index}", f"p{index}.jpg", "done") for index in range(4)]
    records += [ImageRecord("x", "x.jpg", "failed", "The file is empty.")]
    records += [ImageRecord(name, f"{name}.jpg") for name in "yz"]
    stages = {"upsample": 0.5, "encode_hidden": 6.25, "softmax": 1.0}
    costs = Costs(8.0, stages, peak_memory=1_234_000_000, peak_device_memory=56_780_000_000)
    held = Records()
    for record in records:
        held[record.name] = record
    with Report(quiet=False, as_json=False) as report:
        report.end(Summary(OUT, OUT / "index.html", held, 4, costs, 0.7384))
    shown = " ".join(capsys.readouterr().out.split())
    for line in (
        "images 4 done, 1 failed, 2 still to do",
        "time 8.0 s, 2.0 s each",
        "encode_hidden 6.25 s softmax 1.00 s upsample 0.50 s",
        "peak memory 1.23 GB",
        "peak memory of the GPU 56.78 GB",
        "mIoU 73.8 against the true masks",
        "folder out",
        "failed x.jpg: The file is empty.",
    ):
        assert line in shown


@pytest.mark.parametrize(("speed", "text"), [(2.5, "2.5 a second"), (0.25, "4.0 s each")])
def test_rates(speed: float, text: str) -> None:
    assert rate(speed) == text
