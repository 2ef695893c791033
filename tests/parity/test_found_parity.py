"""FOUND's foreground against what its authors' own code computes, with their decoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from clip_diy_set import image_of
from found_set import Recording
from sets import choose, find

from ovsskit.backbones.dino.found import Found
from ovsskit.stages.network.foreground import Foreground

SET = "found"
STEP = 7
NOISES = 16
"""How many times the recording's own distance from double precision numbers may be from it."""
PIXELS = 1e-3
"""Share of a mask's pixels that may differ, and at least one."""

Tensor = torch.Tensor


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"case": lambda facts: list(facts["cases"])})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, SET))


@pytest.fixture(scope="module")
def found(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Found:
    file = tmp_path_factory.mktemp("dino") / "tower.safetensors"
    recording.write_tower(file)
    return Found(weights=str(file), decoder=str(recording.decoder))


def check(ours: Tensor, recording: Recording, case: str, name: str) -> None:
    theirs = recording.tensors(case)[name]
    assert ours.shape == theirs.shape, name
    noise = recording.facts["cases"][case]["float64_largest_difference"][name]
    torch.testing.assert_close(ours, theirs, atol=NOISES * noise, rtol=0)


def test_keys_and_logits(recording: Recording, found: Found, case: str) -> None:
    image = image_of(recording.tensors(case)["picture"], case)
    [hidden] = found.hidden([image], [found.block_count])
    assert list(hidden.grid) == recording.facts["cases"][case]["grid"]
    _, keys, _ = found.project(hidden, found.block_count)
    recorded = len(recording.tensors(case)["features_step7"])
    rows = keys[:, 1:].transpose(0, 1).flatten(1)[::STEP][:recorded]
    check(rows, recording, case, "features_step7")
    check(found.logits(hidden), recording, case, "logits")


def test_map_and_mask(recording: Recording, found: Found, case: str) -> None:
    tensors = recording.tensors(case)
    image = image_of(tensors["picture"], case)
    [soft] = Foreground().run_batch([image], found)
    check(soft.data[::2, ::2], recording, case, "map_sub2")
    [mask] = Foreground(binary=True).run_batch([image], found)
    assert mask.data.shape == tensors["mask"].shape
    differing = int((mask.data.byte() != tensors["mask"]).sum())
    assert differing <= max(1, PIXELS * mask.data.numel())


def test_what_is_recorded_is_compared(recording: Recording, case: str) -> None:
    assert set(recording.tensors(case)) == {
        *("picture", "features_step7", "logits", "map_sub2", "mask")
    }
