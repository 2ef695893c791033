from __future__ import annotations

import numpy as np
import pytest
import torch
from sampling import bilinear

from ovsskit.engine.values import Confidences, Groups, Image, TextFeatures
from ovsskit.stages.maps.group_similarity import GroupSimilarity
from ovsskit.testing import example

TEXTS = torch.nn.functional.normalize(
    torch.randn(7, 8, generator=torch.Generator().manual_seed(3)), dim=1
)


def softmax(values: np.ndarray) -> np.ndarray:
    raised = np.exp(values - values.max())
    return raised / raised.sum()


def by_hand(groups: Groups, texts: torch.Tensor, top: int) -> np.ndarray:
    """Return the confidences of every group, one group and text at a time."""
    words = texts.double().numpy()
    image = groups.image.double().numpy()
    allowed = np.argsort(-(words @ image))[:top]
    rows = []
    for vector in groups.features.double().numpy():
        logits = groups.scale * (words @ (vector / np.linalg.norm(vector)))
        some = np.zeros(len(words))
        some[allowed] = softmax(logits[allowed])
        rows.append(softmax(logits) * some)
    return np.array(rows)


@pytest.mark.parametrize("top", [1, 3, 7, 30])
@pytest.mark.parametrize("size", [(40, 50), (33, 47)])
def test_against_groups_one_by_one(top: int, size: tuple[int, int]) -> None:
    groups = example(Groups, 5)
    image = Image(torch.zeros(3, *size))
    found = GroupSimilarity(top=top).run(image, groups, TextFeatures(TEXTS, tuple(range(1, 8))))
    Confidences.check(found)
    sure = by_hand(groups, TEXTS, top)
    owner = bilinear(groups.assignment, size).argmax(0).numpy()
    np.testing.assert_allclose(found.data.permute(1, 2, 0).numpy(), sure[owner], atol=1e-6)


@pytest.mark.parametrize("least", [0.02, 0.3, 1.0])
def test_unsure_groups_are_background_but_for_the_surest(least: float) -> None:
    groups = example(Groups, 5)
    texts = TextFeatures(TEXTS, tuple(range(1, 8)))
    image = Image(torch.zeros(3, 40, 50))
    plain = GroupSimilarity().run(image, groups, texts).data
    found = GroupSimilarity(background_below=least).run(image, groups, texts)
    assert found.labels == (0, *range(1, 8))
    assert torch.equal(found.data[1:], plain)
    surest = float(by_hand(groups, TEXTS, 5).max())
    expected = plain.amax(0) < min(least, surest)
    assert torch.equal(found.data[0].bool(), expected)
    assert not expected.all()


def test_a_text_for_the_background_needs_no_other() -> None:
    texts = TextFeatures(TEXTS, (0, *range(1, 7)))
    found = GroupSimilarity(background_below=0.9).run(example(Image), example(Groups), texts)
    assert found.labels == texts.labels
