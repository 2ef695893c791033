"""The embedded CLIP finds words in pictures and in patches; the floors lie some points below what it reached."""

from __future__ import annotations

import pytest

from ovsskit.embedded import CLIP_FOLDER
from ovsskit.embedded.training.clip_folder import read_clip
from ovsskit.embedded.training.evaluate import evaluation_scenes
from ovsskit.embedded.training.evaluate_clip import ClipScores, score_clip


@pytest.fixture(scope="module")
def scores() -> ClipScores:
    return score_clip(read_clip(CLIP_FOLDER), evaluation_scenes(40))


def test_pictures_are_found_by_words(scores: ClipScores) -> None:
    assert scores.retrieval >= 65


@pytest.mark.parametrize("path", ["dense", "dense_with_residual"])
def test_self_self_attention_labels_patches(scores: ClipScores, path: str) -> None:
    assert scores.miou[path] >= 50
    assert scores.miou[path] >= scores.miou["plain"] + 20
    assert scores.miou_refined[path] >= scores.miou[path] + 2
