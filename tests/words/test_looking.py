from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ovsskit.engine.images import read_image
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences, Image, Labels, Logits, Saliency, Scores, Vocabulary
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.samples import sample_images
from ovsskit.stages.maps.label_map import LabelMap
from ovsskit.stages.maps.merge_queries import MergeQueries
from ovsskit.stages.maps.softmax import Softmax
from ovsskit.words.looking import NONE, look

IMAGE = Image(torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(1)))
WORDS = make_vocabulary(["cat, kitten", "dog", "bird"], background_words=["sky"])
MAPS = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(2))
LABELS = (0, 1, 1, 2, 3)


class Made(Stage, writes="scores"):
    """Write the maps of this file."""

    def run(self, image: Image) -> Logits:
        return Logits(MAPS, LABELS)


class Poor(Stage, writes="scores"):
    """Write maps in which at most one class scores anything."""

    def run(self, image: Image) -> Saliency:
        data = torch.zeros(2, 4, 6)
        data[0, :2] = 1
        return Saliency(data, (2, 3))


class Halves(Stage, writes="scores"):
    """Keep every second row and column."""

    def run(self, scores: Logits) -> Logits:
        return scores.with_data(scores.data[:, ::2, ::2])


class AllCats(Stage, writes="labels"):
    """Call every pixel a cat."""

    def run(self, image: Image) -> Labels:
        return Labels(torch.ones(image.size, dtype=torch.int64))


def best_of(maps: torch.Tensor) -> torch.Tensor:
    """Return the best map of each label."""
    return torch.stack(
        [maps[[i for i, one in enumerate(LABELS) if one == k]].amax(0) for k in range(4)]
    )


def test_words_and_rivals_follow_from_scores() -> None:
    stages = [Made(), Softmax(scale=3.0), MergeQueries(), LabelMap()]
    seen = look(Pipeline.of(stages, vocabulary=WORDS, device="cpu"), IMAGE)
    merged = best_of(MAPS)
    assert torch.equal(seen.labels, merged.argmax(0))
    assert seen.rivals is not None
    assert torch.equal(seen.rivals, merged.argsort(dim=0, descending=True)[1])
    assert seen.words is not None
    assert torch.equal(seen.words, MAPS.argmax(0))


def test_ids_are_read_as_labels() -> None:
    vocabulary = replace(WORDS, ids=(0, 70, 5, 9))
    stages = [Made(), Softmax(), MergeQueries(), LabelMap()]
    seen = look(Pipeline.of(stages, vocabulary=vocabulary, device="cpu"), IMAGE)
    assert torch.equal(seen.labels, best_of(MAPS).argmax(0))


def test_labels_that_follow_from_no_word_have_none() -> None:
    stages = [Made(), Softmax(), MergeQueries(), AllCats()]
    seen = look(Pipeline.of(stages, vocabulary=WORDS, device="cpu"), IMAGE)
    best, words, rivals = MAPS.argmax(0), seen.words, seen.rivals
    assert words is not None
    assert rivals is not None
    is_cat = (best == 1) | (best == 2)
    assert torch.equal(words, best.where(is_cat, NONE))
    order = best_of(MAPS).argsort(dim=0, descending=True)
    assert torch.equal(rivals, torch.where(order[0] == 1, order[1], order[0]))


def test_small_maps_are_enlarged_by_the_nearest_place() -> None:
    stages = [Made(), Halves(), Softmax(), MergeQueries(), AllCats()]
    seen = look(Pipeline.of(stages, vocabulary=WORDS, device="cpu"), IMAGE)
    small = MAPS[:, ::2, ::2].argmax(0)
    large = small.repeat_interleave(2, 0).repeat_interleave(2, 1)
    is_cat = (large == 1) | (large == 2)
    assert seen.words is not None
    assert torch.equal(seen.words, large.where(is_cat, NONE))


def test_what_scores_nothing_is_no_rival() -> None:
    seen = look(Pipeline.of([Poor(), LabelMap()], vocabulary=WORDS, device="cpu"), IMAGE)
    assert seen.rivals is not None
    assert (seen.rivals == NONE).all()
    assert seen.words is None


class One(Stage, writes="scores"):
    """Write the map of one class alone."""

    def run(self, image: Image, vocabulary: Vocabulary) -> Confidences:
        return Confidences(image.data[:1], (1,))


def test_one_map_has_no_rival() -> None:
    seen = look(Pipeline.of([One(), LabelMap()], vocabulary=WORDS, device="cpu"), IMAGE)
    assert seen.rivals is None


@pytest.mark.parametrize("recipe", ["itaclip_tiny", "clearclip_tiny"])
def test_a_recipe_of_windows_has_words_of_whole_images(recipe: str) -> None:
    plan = load_recipe(recipe).plan
    image = read_image(sample_images()[3])
    pipeline = Pipeline(plan, device="cpu")
    seen = look(pipeline, image)
    result = pipeline(sample_images()[3], trace=True)
    softmax = result.at("softmax")
    assert isinstance(softmax, Scores)
    queries = plan.vocabulary.queries
    assert softmax.labels == tuple(label for label, _ in queries)
    assert torch.equal(seen.labels, result.labels)
    assert seen.words is not None
    told = seen.words != NONE
    assert told.float().mean() > 0.5
    of_word = torch.tensor([label for label, _ in queries])
    assert torch.equal(of_word[seen.words[told]], seen.labels[told])
