"""A study by rewards opens no mask and no list of true classes, whatever it searches."""

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

STUDY = """
recipe    = "mine.toml"
reference = "quickstart"
images    = ["photos/*.jpg"]
classes   = ["dog, puppy", "cat", "cow", "house", "tree"]
trials    = 3
sampler   = "random"

[space]
"encode_text.word_of.*"      = { choices = "synonyms" }
"encode_text.sentences_of.*" = { choices = ["simple", "name"] }
"label_map.background_below" = { low = 0.0, high = 0.95 }
"""
BAD_START = """
extends = "clip_baseline_tiny.toml"

[[stage]]
use    = "all_classes"
before = "encode_text"

[set]
"label_map.background_below" = 0.95
"""
"""A recipe that takes nearly all for background, so that a candidate has to be proved better."""

OPENED: list[str] | None = None


def note(event: str, arguments: tuple[Any, ...]) -> None:
    is_path = bool(arguments) and isinstance(arguments[0], str | bytes | os.PathLike)
    if event == "open" and OPENED is not None and is_path:
        OPENED.append(os.fsdecode(arguments[0]))


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Return the files that are opened from here on."""
    global OPENED
    sys.addaudithook(note)
    OPENED = []
    yield OPENED
    OPENED = None


def test_a_study_by_rewards_reads_no_label(tmp_path: Path, opened: list[str]) -> None:
    scenes = sample_scenes()[:12]
    for name in ("photos", "photos/masks", "photos/stuff"):
        (tmp_path / name).mkdir()
    for scene in scenes:
        shutil.copy(scene.image, tmp_path / "photos" / scene.image.name)
        shutil.copy(scene.mask, tmp_path / "photos" / "masks" / scene.mask.name)
        shutil.copy(scene.stuff_mask, tmp_path / "photos" / "stuff" / scene.stuff_mask.name)
    (tmp_path / "photos" / "scenes.json").write_text("[]")
    (tmp_path / "mine.toml").write_text(BAD_START)
    (tmp_path / "study.toml").write_text(STUDY)
    opened.clear()
    state = ovsskit.run_study(str(tmp_path / "study.toml"), out=tmp_path / "out", device="cpu")

    assert state.acceptance is not None
    assert len(state.acceptance.comparisons) == 2  # by the objective, and by what confirms it
    photos = {Path(path) for path in opened if Path(path).is_relative_to(tmp_path / "photos")}
    assert photos == {tmp_path / "photos" / scene.image.name for scene in scenes}
    folder = scenes[0].image.parent.parent
    assert not [path for path in opened if Path(path).is_relative_to(folder)]
