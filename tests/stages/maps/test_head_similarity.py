from __future__ import annotations

import math

import pytest
import torch

from ovsskit.engine.values import Confidences, Hidden, PatchFeatures, TextFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.maps.head_similarity import HeadSimilarity
from ovsskit.testing import ToyBackbone, example

TEXTS = TextFeatures(
    torch.nn.functional.normalize(
        torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=1
    ),
    (1, 2, 2),
)


def softmax(values: list[float]) -> list[float]:
    raised = [math.exp(value - max(values)) for value in values]
    return [value / sum(raised) for value in raised]


def tokens(*patches: tuple[float, ...], others: int = 1) -> Hidden:
    """Return the tokens of a grid of two rows in block 12; those before the patches differ."""
    first = [(1.0 + index, 2.0, -1.0, 0.5) for index in range(others)]
    return Hidden(torch.tensor([*first, *patches])[None], (12,), (2, len(patches) // 2))


@pytest.mark.parametrize("others", [1, 5])
def test_reference_by_heads_and_patches(others: int) -> None:
    generator = torch.Generator().manual_seed(7)
    rows = [tuple(row) for row in torch.randn(6, 4, generator=generator).tolist()]
    hidden, toy = tokens(*rows, others=others), ToyBackbone()
    patches = example(PatchFeatures)
    patches = PatchFeatures(patches.data[:4, :2, :3] - 0.2)
    found = HeadSimilarity().run(hidden, patches, TEXTS, toy)
    queries, keys, _ = (part.tolist() for part in toy.project(hidden, 12))
    vectors = patches.vectors.tolist()
    looks, sees = [], []
    for query, key in zip(queries, keys, strict=True):
        look = [
            sum(a * b for a, b in zip(query[0], one, strict=True)) / math.sqrt(len(one))
            for one in key[others:]
        ]
        total = [sum(w * v[at] for w, v in zip(look, vectors, strict=True)) for at in range(4)]
        looks.append(look)
        sees.append([value / math.hypot(*total) for value in total])
    maps = []
    for text in TEXTS.data.tolist():
        shares = softmax([sum(a * b for a, b in zip(text, see, strict=True)) for see in sees])
        mean = [sum(s * look[p] for s, look in zip(shares, looks, strict=True)) for p in range(6)]
        maps.append(softmax(mean))
    low, high = min(map(min, maps)), max(map(max, maps))
    expected = torch.tensor([[(value - low) / high for value in one] for one in maps])
    torch.testing.assert_close(found.data.flatten(1), expected, atol=1e-5, rtol=1e-5)
    assert found.data.shape == (3, 2, 3)
    assert found.labels == TEXTS.labels
    Confidences.check(found)


def test_a_text_is_where_the_head_looks_that_sees_it() -> None:
    """Heads have two numbers each, and each looks at the patch whose numbers are high."""

    class Given(ToyBackbone):
        def project(
            self, hidden: Hidden, layer: int
        ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            split = hidden.entering(layer).unflatten(1, (2, 2)).transpose(0, 1)
            return split, split, split

    none = (0.0, 0.0, 0.0, 0.0)
    hidden = tokens((40.0, 40.0, 0.0, 0.0), none, none, (0.0, 0.0, 40.0, -40.0))
    hidden.data[0, 0] = torch.tensor([1.0, 1.0, 1.0, -1.0])
    vectors = torch.zeros(2, 2, 2)
    vectors[0, 0, 0], vectors[1, 1, 1] = 1.0, 1.0
    texts = TextFeatures(20 * torch.eye(2), (1, 2))
    found = HeadSimilarity().run(hidden, PatchFeatures(vectors), texts, Given()).data
    assert found[0].argmax() == 0
    assert found[1].argmax() == 3
    torch.testing.assert_close(found.amax((1, 2)), torch.ones(2), atol=1e-3, rtol=0)


def test_what_does_not_fit_is_refused() -> None:
    hidden, toy = example(Hidden), ToyBackbone()
    patches, texts = example(PatchFeatures), example(TextFeatures)
    with pytest.raises(BadValue, match="asks for 3"):
        HeadSimilarity(layer=3).run(hidden, patches, texts, toy)
    other = PatchFeatures(patches.data[:, 1:])
    with pytest.raises(BadValue, match="grid"):
        HeadSimilarity().run(hidden, other, texts, toy)
    bare = Hidden(hidden.data[:, hidden.others :], hidden.layers, hidden.grid)
    with pytest.raises(BadValue, match="this model has none"):
        HeadSimilarity().run(bare, patches, texts, toy)
