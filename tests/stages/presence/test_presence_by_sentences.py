from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from ovsskit.engine.values import Image, Present
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.presence.presence_by_sentences import PresenceBySentences
from ovsskit.testing import ToyBackbone, example
from ovsskit.texts.templates import CAR

WORDS = make_vocabulary(["one", "two", "three"])
SENTENCES = ("a {}.", "the {}.")
COSINES = {
    "a one.": 0.5,
    "a two.": 0.3,
    "a three.": 0.1,
    "the one.": 0.2,
    "the two.": 0.4,
    "the three.": 0.1,
}


class Fixed(ToyBackbone):
    """Give every image the same vector, and every sentence one that has a known cosine with it."""

    def encode_image(self, images: Sequence[Image]) -> torch.Tensor:
        return torch.tensor([[3.0, 0.0]]).expand(len(images), -1)

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        cosines = torch.tensor([COSINES[text] for text in texts])
        return torch.stack([cosines, (1 - cosines**2).sqrt()], 1) * 7


def softmax(values: Sequence[float]) -> list[float]:
    waves = [math.exp(value) for value in values]
    return [wave / sum(waves) for wave in waves]


def look(present: Present | None = None, **settings: object) -> Present:
    stage = PresenceBySentences(templates=SENTENCES, scale=10.0, **settings)
    return stage.run(example(Image), WORDS, Fixed(), present)


def test_scores_are_a_softmax_of_summed_softmaxes() -> None:
    first, second = softmax([5, 3, 1]), softmax([2, 4, 1])
    sums = [one + two for one, two in zip(first, second, strict=True)]
    assert look().scores == pytest.approx(softmax(sums), abs=1e-6)
    assert look(merge="mean").scores == pytest.approx([one / 2 for one in sums], abs=1e-6)


def test_only_classes_that_are_present_compete() -> None:
    found = look(Present((3, 1)), above=0.0)
    first, second = softmax([1, 5]), softmax([1, 2])
    three, one = softmax([first[0] + second[0], first[1] + second[1]])
    assert found.scores == pytest.approx((one, 0, three), abs=1e-6)
    assert found.labels == (3, 1)


def test_classes_above_the_limit_are_taken_else_the_best() -> None:
    scores = look().scores
    assert look(above=sorted(scores)[1] - 1e-4).labels == (1, 2)
    assert look(above=sorted(scores)[1]).labels == (1,)
    assert look(above=0.9).labels == (1,)
    assert look(above=0.9, if_none="none").labels == ()


def test_one_class_scores_1_and_none_has_no_score() -> None:
    assert look(Present((2,))).scores == pytest.approx((0, 1, 0))
    assert look(Present(())).labels == ()
    assert look(Present(())).scores == (0, 0, 0)


def test_all_words_of_a_class_may_stand_in_one_text() -> None:
    asked: list[str] = []

    class Counting(Fixed):
        def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
            asked.extend(texts)
            return torch.ones(len(texts), 2)

    stage = PresenceBySentences(templates=SENTENCES, words="joined")
    stage.run(example(Image), make_vocabulary(["cat, kitten", "dog"]), Counting())
    assert asked == ["a cat, kitten.", "a dog.", "the cat, kitten.", "the dog."]


def test_sentences_are_encoded_once_for_all_images_of_a_batch() -> None:
    asked = []

    class Counting(Fixed):
        def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
            asked.append(tuple(texts))
            return super().encode_text(texts)

    stage = PresenceBySentences(templates=SENTENCES)
    images = [example(Image, seed) for seed in range(3)]
    stage.run_batch(images, [WORDS] * 3, Counting(), [None, Present((1,)), Present((2, 3))])
    assert asked == [tuple(COSINES)]


def test_the_published_sentences() -> None:
    assert len(set(CAR)) == 15
    assert CAR[0] == "a clean origami {}."
    assert CAR[-1] == "There is a large {} in the scene."
