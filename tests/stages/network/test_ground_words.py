"""Words of classes that are absent are not looked for; those of the background always are."""

from __future__ import annotations

import torch

from ovsskit.engine.model.grounds_words import ToyGroundsWords
from ovsskit.engine.values import NEGATIVE, Image, Present
from ovsskit.stages.network.ground_words import GroundWords
from ovsskit.testing import example

WORDS = ToyGroundsWords().encode_words(
    [(0, "sky"), (1, "dog"), (1, "puppy"), (2, "grass"), (NEGATIVE, "cat")]
)


def test_every_image_gets_what_the_model_finds() -> None:
    images, model = [example(Image, seed) for seed in (0, 7)], ToyGroundsWords()
    found = GroundWords(least=0.2).run_batch(images, [WORDS, WORDS], model, [None, None])
    for image, one in zip(images, found, strict=True):
        [alone] = model.ground_words([image], [WORDS], 0.2)
        assert torch.equal(one.dense, alone.dense)
        assert torch.equal(one.masks, alone.masks)
        assert one.labels == WORDS.labels


def test_only_words_of_present_classes_are_looked_for() -> None:
    images = [example(Image)] * 2
    some, none = GroundWords().run_batch(
        images, [WORDS, WORDS], ToyGroundsWords(), [Present((1,)), Present(())]
    )
    assert some.labels == (0, 1, 1, NEGATIVE)
    assert none.labels == (0, NEGATIVE)
    [whole] = ToyGroundsWords().ground_words(images[:1], [WORDS], 0.1)
    assert torch.equal(some.dense, whole.dense[[0, 1, 2, 4]])
