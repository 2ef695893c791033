from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from ovsskit.engine.values import Image, Present, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.presence.presence_by_similarity import PresenceBySimilarity
from ovsskit.testing import ToyBackbone, example

WORDS = make_vocabulary(["one", "two", "three"])


class Fixed(ToyBackbone):
    """Give every image the same vector, and every word another."""

    def encode_image(self, images: Sequence[Image]) -> torch.Tensor:
        return torch.tensor([[2.0, 0.0, 0.0]]).expand(len(images), -1)

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        assert all(text.startswith("A photo of ") for text in texts)
        cosines = torch.tensor([0.30, 0.28, 0.20])
        return torch.stack([cosines, (1 - cosines**2).sqrt(), torch.zeros(3)], 1) * 5


@pytest.mark.parametrize(
    ("at_least", "scale", "labels"),
    [
        (1.0, 100.0, (1,)),
        (0.1, 100.0, (1, 2)),
        (0.14, 100.0, (1,)),
        (0.1, 10.0, (1, 2, 3)),
        (0.0, 100.0, (1, 2, 3)),
    ],
)
def test_classes_not_far_below_the_best_are_taken(
    at_least: float, scale: float, labels: tuple[int, ...]
) -> None:
    # exp(-100 * 0.02) is 0.135, exp(-100 * 0.1) is 0.00005, exp(-10 * 0.1) is 0.37.
    stage = PresenceBySimilarity(prompt="A photo of ", at_least=at_least, scale=scale)
    assert stage.run(example(Image), WORDS, Fixed()).labels == labels


def test_at_most_so_many_and_in_the_order_of_the_vocabulary() -> None:
    stage = PresenceBySimilarity(prompt="A photo of ", at_least=0.0, at_most=2)
    assert stage.run(example(Image), WORDS, Fixed()).labels == (1, 2)
    similarity = torch.tensor([0.1, 0.3, 0.2])
    assert PresenceBySimilarity(at_least=0.0, at_most=2).choose(similarity).labels == (2, 3)


def test_there_is_always_a_class() -> None:
    assert (
        PresenceBySimilarity(at_least=1.0)
        .run(example(Image), example(Vocabulary), ToyBackbone())
        .labels
    )


def test_an_image_may_show_none_and_what_was_seen_is_kept() -> None:
    def run(none_below: float) -> Present:
        stage = PresenceBySimilarity(prompt="A photo of ", none_below=none_below, scale=10)
        return stage.run(example(Image), WORDS, Fixed())

    assert run(0.299).labels == (1, 2, 3)
    none = run(0.301)
    assert (none.labels, none.note) == (
        (),
        "none of the classes is near: the best cosine is 0.30",
    )
    assert none.scores == run(0.299).scores
    assert sum(none.scores) == pytest.approx(1, abs=1e-3)
    assert sorted(none.scores, reverse=True) == list(none.scores)
