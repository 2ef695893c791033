"""A class has the highest score of its words' dense masks and things, as a plain loop finds it."""

from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import NEGATIVE, Image, WordMasks
from ovsskit.stages.maps.fuse_words import FuseWords
from ovsskit.testing import example

IMAGE = example(Image)


def plain(found: WordMasks, label: int, above: float, size: tuple[int, int]) -> torch.Tensor:
    """Fuse as ActiveSAM's description says, pixel maps one after the other."""
    best = torch.zeros(size)
    for word, mine in enumerate(found.labels):
        if mine != label:
            continue
        logits = torch.nn.functional.interpolate(
            found.dense[word][None, None], size, mode="bilinear"
        )
        fused = logits[0, 0].sigmoid()
        for thing in range(len(found.masks)):
            score = found.scores[thing] * found.presence[word]
            if found.words[thing] == word and score > above:
                logits = torch.nn.functional.interpolate(
                    found.masks[thing][None, None], size, mode="bilinear"
                )
                fused = torch.maximum(fused, logits[0, 0].sigmoid() * score)
        best = torch.maximum(best, fused * found.presence[word])
    return best


@pytest.mark.parametrize("above", [0.0, 0.3, 1.0])
def test_scores_are_those_of_a_plain_loop(above: float) -> None:
    found = example(WordMasks)
    scores = FuseWords(above=above).run(found, IMAGE)
    assert scores.labels == (1, 2, 3)
    expected = torch.stack([plain(found, label, above, IMAGE.size) for label in scores.labels])
    torch.testing.assert_close(scores.data, expected)


def test_what_is_hardly_present_is_nowhere_and_negatives_are_left_out() -> None:
    found = example(WordMasks)
    least = float(found.presence[0])
    scores = FuseWords(present_above=least).run(found, IMAGE)
    assert not scores.data[0].any()
    against = WordMasks(**{**vars(found), "labels": (NEGATIVE, 2, 2, 3)})
    assert FuseWords().run(against, IMAGE).labels == (2, 3)


def test_either_head_can_count_alone_at_the_masks_own_size() -> None:
    found = example(WordMasks)
    dense = FuseWords(heads="dense", size="masks").run(found, IMAGE).data
    things = FuseWords(heads="things", size="masks", above=0.0).run(found, IMAGE).data
    both = FuseWords(size="masks", above=0.0).run(found, IMAGE).data
    assert dense.shape[1:] == found.dense.shape[1:]
    assert torch.equal(torch.maximum(dense, things), both)
    assert not torch.equal(dense, both)


def test_without_things_there_are_dense_masks_alone() -> None:
    found = example(WordMasks)
    none = WordMasks(
        found.presence,
        found.dense,
        found.masks[:0],
        found.scores[:0],
        found.words[:0],
        found.labels,
    )
    expected = FuseWords(heads="dense").run(found, IMAGE)
    assert torch.equal(FuseWords().run(none, IMAGE).data, expected.data)
    assert not FuseWords(heads="things").run(none, IMAGE).data.any()
