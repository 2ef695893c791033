"""The embedded CLIP finds words in images and in patches; the floors lie some points below what it
reached.
"""

from __future__ import annotations

import pytest

from ovsskit.backbones.clip.clip import Clip
from ovsskit.embedded import CLIP_FOLDER, NOUNS, sample_scenes
from ovsskit.engine.images import read_image
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.presence.presence_by_similarity import PresenceBySimilarity
from tiny_models.clip_folder import read_clip
from tiny_models.evaluate import evaluation_scenes
from tiny_models.evaluate_clip import ClipScores, score_clip


@pytest.fixture(scope="module")
def scores() -> ClipScores:
    return score_clip(read_clip(CLIP_FOLDER), evaluation_scenes(40))


def test_images_are_found_by_words(scores: ClipScores) -> None:
    assert scores.retrieval >= 65


@pytest.mark.parametrize("path", ["dense", "dense_with_residual"])
def test_self_self_attention_labels_patches(scores: ClipScores, path: str) -> None:
    assert scores.miou[path] >= 50
    assert scores.miou[path] >= scores.miou["plain"] + 20
    assert scores.miou_refined[path] >= scores.miou[path] + 2


def test_it_says_which_things_are_there() -> None:
    """Of 24 things 3.3 are in a scene: said at random, one in seven would be right."""
    scenes, clip, words = sample_scenes(), Clip(weights="embedded"), make_vocabulary(NOUNS)
    images = [read_image(scene.image) for scene in scenes]
    present = PresenceBySimilarity().run_batch(images, [words] * len(images), clip)
    said = [{NOUNS[label - 1] for label in found.labels} for found in present]
    right = sum(len(mine & set(scene.nouns)) for mine, scene in zip(said, scenes, strict=True))
    assert right >= 0.45 * sum(map(len, said))
    assert right >= 0.25 * sum(len(scene.nouns) for scene in scenes)
