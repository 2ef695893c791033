from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ovsskit
from ovsskit.embedded import sample_scenes
from ovsskit.engine.stage import own_slot
from ovsskit.recipe.registry import find_stage, stage_files

REWARDS = [name for name in stage_files() if own_slot(find_stage(name)) == "reward"]
RECIPE = """extends = "quickstart.toml"
[models.judge]
use = "clip"
weights = "embedded"
{presence}
[[stage]]
use = "{reward}"
{more}
after = "{after}"
"""
BY_THE_JUDGE = '[[stage]]\nuse = "presence_by_similarity"\nreplaces = "presence_by_matching"'
AFTER = {"released_clip_reward": "merge_tokens", "entropy_reward": "dense_crf"}
"""Where rewards stand that do not read labels."""

OPENED: list[str] | None = None


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if (
        event == "open"
        and OPENED is not None
        and isinstance(arguments[0], str | bytes | os.PathLike)
    ):
        OPENED.append(os.fsdecode(arguments[0]))


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Return the files that are opened from here on."""
    global OPENED
    if OPENED is None:
        sys.addaudithook(note)
    OPENED = []
    yield OPENED
    OPENED = []


@pytest.mark.parametrize(
    ("reward", "presence"), [*((name, "") for name in REWARDS), ("clip_reward", BY_THE_JUDGE)]
)
def test_no_label_is_read(tmp_path: Path, opened: list[str], reward: str, presence: str) -> None:
    """Masks and lists of true classes lie beside the image; a run with a reward opens the image
    alone.
    """
    scene = sample_scenes()[0]
    for path in (
        scene.image,
        scene.mask,
        scene.stuff_mask,
        scene.image.parent.parent / "scenes.json",
    ):
        shutil.copy(path, tmp_path / f"{path.parent.name}_{path.name}")
    image = tmp_path / f"{scene.image.parent.name}_{scene.image.name}"
    more = 'reads = { reference = "labels" }' if reward == "reference_reward" else ""
    after = AFTER.get(reward, "label_map")
    (tmp_path / "mine.toml").write_text(
        RECIPE.format(presence=presence, reward=reward, more=more, after=after)
    )
    opened.clear()
    result = ovsskit.load(tmp_path / "mine.toml")(image)
    assert float(result.slots["reward"].data) >= 0
    mine = {Path(path).name for path in opened if Path(path).is_relative_to(tmp_path)}
    assert mine == {"mine.toml", image.name}
    scenes = scene.image.parent.parent
    assert not [path for path in opened if Path(path).is_relative_to(scenes)]
