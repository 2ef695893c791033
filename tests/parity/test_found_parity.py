"""FOUND's foreground against what its authors' own code computes, with their decoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from found_set import Recording
from recording import check_labels
from sets import choose, find

from ovsskit.backbones.dino.found import Found
from ovsskit.stages.network.foreground import Foreground

SET = "found"
STEP = 7

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


def test_keys_and_logits(recording: Recording, found: Found, case: str) -> None:
    image = recording.image(case)
    [hidden] = found.hidden([image], [found.block_count])
    assert list(hidden.grid) == recording.facts["cases"][case]["grid"]
    _, keys, _ = found.project(hidden, found.block_count)
    recorded = len(recording.tensors(case)["features_step7"])
    rows = keys[:, 1:].transpose(0, 1).flatten(1)[::STEP][:recorded]
    recording.check(rows, case, "features_step7")
    recording.check(found.logits(hidden), case, "logits")


def test_map_and_mask(recording: Recording, found: Found, case: str) -> None:
    tensors = recording.tensors(case)
    image = recording.image(case)
    [soft] = Foreground().run_batch([image], found)
    recording.check(soft.data[::2, ::2], case, "map_sub2")
    [mask] = Foreground(binary=True).run_batch([image], found)
    assert mask.data.shape == tensors["mask"].shape
    check_labels(mask.data.long(), tensors["mask"])


def test_what_is_recorded_is_compared(recording: Recording, case: str) -> None:
    assert set(recording.tensors(case)) == {
        *("picture", "features_step7", "logits", "map_sub2", "mask")
    }
