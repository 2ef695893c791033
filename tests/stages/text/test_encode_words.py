"""Words are encoded alone, the background's first and the negatives' last."""

from __future__ import annotations

from dataclasses import replace

import torch

from ovsskit.engine.model.grounds_words import ToyGroundsWords
from ovsskit.engine.values import NEGATIVE, Vocabulary
from ovsskit.stages.text.encode_words import EncodeWords

VOCABULARY = replace(
    Vocabulary.example(),
    synonyms=(("puppy",), (), ()),
    background_words=("sky",),
    negatives=("cat",),
)


def test_every_word_has_its_label() -> None:
    [found] = EncodeWords().run_batch([VOCABULARY], ToyGroundsWords())
    assert found.labels == (0, 1, 1, 2, 3, NEGATIVE)
    words = ["sky", "dog", "puppy", "ice cream", "grass", "cat"]
    alone = [ToyGroundsWords().encode_words([(1, word)]).data[0] for word in words]
    assert torch.equal(found.data, torch.stack(alone))


def test_there_are_no_more_neighbours_than_other_words() -> None:
    for asked, given in ((0, 0), (2, 2), (9, 5)):
        [found] = EncodeWords(neighbours=asked).run_batch([VOCABULARY], ToyGroundsWords())
        assert found.data.shape[1] == 1 + given
