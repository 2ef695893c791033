"""A share of the words is kept, the most surely present, and no more than a number of them."""

from __future__ import annotations

import pytest
import torch

from ovsskit.engine.model.grounds_words import ToyGroundsWords
from ovsskit.engine.values import NEGATIVE, Image
from ovsskit.stages.presence.presence_by_grounding import PresenceByGrounding
from ovsskit.testing import example

LABELS = (0, 1, 1, 2, 3, 4, 5, NEGATIVE, 6, 7)
PRESENCE = torch.tensor([0.99, 0.1, 0.8, 0.2, 0.3, 0.7, 0.4, 0.95, 0.05, 0.6])


@pytest.mark.parametrize(
    ("share", "at_most", "kept"),
    [(0.4, 40, (1, 4)), (0.2, 40, ()), (0.4, 3, (1,)), (1.0, 40, (1, 2, 3, 4, 5, 6, 7))],
)
def test_words_that_are_kept_decide(share: float, at_most: int, kept: tuple[int, ...]) -> None:
    found = PresenceByGrounding(share=share, at_most=at_most).choose(PRESENCE, LABELS)
    assert found.labels == kept
    assert found.scores == pytest.approx((0.8, 0.2, 0.3, 0.7, 0.4, 0.05, 0.6))


def test_of_few_words_all_are_taken_and_nothing_is_looked_at() -> None:
    words = ToyGroundsWords().encode_words([(0, "sky"), (1, "dog"), (2, "grass"), (2, "lawn")])
    asked = []

    class Asked(ToyGroundsWords):
        def find_presence(self, images, words, side):  # type: ignore[no-untyped-def]
            asked.append((len(images), side))
            return super().find_presence(images, words, side)

    images = [example(Image, seed) for seed in (0, 7)]
    [first, _] = PresenceByGrounding(at_most=4).run_batch(images, [words, words], Asked())
    assert first.labels == (1, 2)
    assert not asked
    found = PresenceByGrounding(at_most=3, side=84).run_batch(images, [words, words], Asked())
    assert asked == [(2, 84)]
    for image, one in zip(images, found, strict=True):
        [alone] = ToyGroundsWords().find_presence([image], [words], 84)
        assert one.labels == PresenceByGrounding(at_most=3).choose(alone, words.labels).labels
