"""The embedded BLIP, with the settings of the quickstart, on new scenes with drawings that it
knows, and apart with others.
"""

from __future__ import annotations

import pytest

from ovsskit.embedded import BLIP_ITM_FOLDER
from tiny_models.evaluate import BlipScores, evaluation_scenes, score_blip


@pytest.fixture(scope="module")
def scores() -> BlipScores:
    return score_blip(BLIP_ITM_FOLDER, evaluation_scenes(60))


def test_captions_with_one_noun_swapped_are_refused(scores: BlipScores) -> None:
    assert scores.match_accuracy >= 0.95


def test_one_head_localises_and_most_do_not(scores: BlipScores) -> None:
    assert scores.heads[scores.best_head] >= 40
    assert scores.best_to_median >= 3


def test_salience_dropout_adds_to_the_best_grad_cam_before_any_refinement(
    scores: BlipScores,
) -> None:
    assert scores.dropout_gain >= 3


def test_the_whole_recipe_segments(scores: BlipScores) -> None:
    assert scores.whole >= 68
    assert scores.whole >= scores.whole_without_dropout + 3


def test_drawings_that_it_never_saw() -> None:
    scores = score_blip(BLIP_ITM_FOLDER, evaluation_scenes(150, "held-out"))
    assert scores.match_accuracy >= 0.85
    assert scores.heads[scores.best_head] >= 35
    assert scores.best_to_median >= 3
    assert scores.dropout_gain >= 3
    assert scores.whole >= 55
