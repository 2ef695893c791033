"""How often recipes wait for a GPU is written down, for an image and for one more trial on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pretend_device import NAME, PretendDevice
from test_recipes import load
from ways import WAYS, few_of

from ovsskit.engine.store import Store
from ovsskit.engine.values import Image
from ovsskit.run.pipeline import Pipeline
from ovsskit.testing import example

GOLDEN = Path(__file__).parent.parent / "golden" / "waits.json"
PATHS = sorted(WAYS.values())
LOOPS = ("car", "clip_diy", "clip_es", "corrclip", "tagclip")
"""Recipes that ask again for every box, region or round, of which rounding may make one more."""


@pytest.fixture(autouse=True)
def _device_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ovsskit.engine.devices.NO_FLOAT64", ())
    monkeypatch.setattr("ovsskit.run.pipeline.choose_device", lambda _: NAME)


def count_waits(path: Path, folder: Path) -> dict[str, int]:
    """Count how often a recipe waits for an image, and for one more trial of a study on it, until
    its label map is on the device.
    """
    plan = load(path, folder).plan
    words = few_of(plan)
    with PretendDevice(float64=True) as device:

        def run(pipeline: Pipeline, seed: int) -> int:
            device.waits.clear()
            [state] = pipeline.run_many([example(Image, seed)], words)
            assert state["labels"].ids.is_meta
            return sum(wait.kind != "send" for wait in device.waits)

        plain = Pipeline(plan)
        run(plain, 0)  # networks and words go to the device once
        image = run(plain, 1)
        study = Pipeline(plain.plan, store=Store())
        run(study, 1)  # the store keeps what networks wrote
        return {"image": image, "trial": run(study, 1)}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_recipe_begins_to_wait_more_often(
    path: Path, tmp_path: Path, golden: Callable[[Path, str], str]
) -> None:
    counts = count_waits(path, tmp_path)
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    written = dict(sorted((known | {path.stem: counts}).items()))
    kept = json.loads(golden(GOLDEN, json.dumps(written, indent=2) + "\n"))
    if path.stem.startswith(LOOPS):
        assert all(counts[one] <= 1.25 * kept[path.stem][one] for one in counts)
    else:
        assert kept.get(path.stem) == counts


def test_nothing_else_is_written_down() -> None:
    assert [*json.loads(GOLDEN.read_text())] == [path.stem for path in PATHS]
