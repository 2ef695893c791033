"""Views, windows and refinement against a recording of ITACLIP's released code; every number comes from the recording."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from itaclip_set import LOGITS, Recording

from ovsskit.stages.refine.close_labels import CloseLabels
from ovsskit.stages.refine.pamr import Pamr, affinity, deviation
from ovsskit.values import Image, Labels, Logits

close = torch.testing.assert_close


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = Recording(metafunc.config.getoption("--parity-dir") / "itaclip").facts["cases"]
    if "pamr_name" in metafunc.fixturenames:
        metafunc.parametrize("pamr_name", list(cases["pamr"]["dilations"]))
    if "run_name" in metafunc.fixturenames:
        metafunc.parametrize("run_name", [name for name, run in cases["slide"]["runs"].items() if "label_counts" in run])


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(parity_dir / "itaclip")


def test_pamr(recording: Recording, pamr_name: str) -> None:
    theirs, facts = recording.tensors("pamr"), recording.facts["cases"]["pamr"]
    dilations = tuple(facts["dilations"][pamr_name])
    picture = theirs["image"][0]
    close(deviation(picture, dilations)[:, ::8, ::8], theirs[f"{pamr_name}.std_sub8"], **LOGITS)
    close(affinity(picture, dilations)[:, ::8, ::8], theirs[f"{pamr_name}.affinity_sub8"], **LOGITS)
    stage = Pamr(steps=facts["iterations"], dilations=dilations, at="picture")
    for mask, out in (("mask", "out"), ("mask_low", "out_low")):
        if f"{pamr_name}.{out}" in theirs:
            maps = theirs[mask][0]
            refined = stage.run(Logits(maps, tuple(range(len(maps)))), Image(picture))
            close(refined.data, theirs[f"{pamr_name}.{out}"][0], **LOGITS)


def test_close(recording: Recording, run_name: str) -> None:
    theirs = recording.tensors(recording.file_of(run_name))
    closed = CloseLabels().run(Labels(theirs[f"{run_name}.labels_before_close"].long()))
    assert torch.equal(closed.data, theirs[f"{run_name}.labels"].long())
