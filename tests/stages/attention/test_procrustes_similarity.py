from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from ovsskit.engine.model.encodes_tokens import ToyEncodesTokens
from ovsskit.engine.values import Hidden
from ovsskit.errors import BadValue
from ovsskit.stages.attention.procrustes_similarity import ProcrustesSimilarity, nearly_rotation
from ovsskit.testing import example


def by_hand(stage: ProcrustesSimilarity, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Compare one head's queries with its keys, turned as scipy turns them."""
    queries, keys = queries.double(), keys.double()
    weights = queries.square().sum(1).sqrt()
    weights[0] = 0
    weights = weights / (weights.sum() + 1e-6)
    middles = [
        sum(w * one for w, one in zip(weights, part, strict=True)) for part in (queries, keys)
    ]
    turn, _ = orthogonal_procrustes((keys - middles[1]).numpy(), (queries - middles[0]).numpy())
    around, scale = keys - middles[1], queries.shape[1] ** -0.5
    turned = queries @ (keys @ torch.from_numpy(turn)).T
    return scale * (turned + stage.key_weight * around @ around.T)


@pytest.mark.parametrize("key_weight", [0.0, 0.3])
def test_the_exact_turn_is_that_of_scipy(key_weight: float) -> None:
    stage = ProcrustesSimilarity(rotation="exact", key_weight=key_weight)
    hidden, model = example(Hidden), Random()
    found = stage.run(hidden, model)
    assert found.data.shape[:2] == (1, 1)
    queries, keys, _ = model.project(hidden, hidden.layers[-1])
    for mine, query, key in zip(found.data[0, 0], queries, keys, strict=True):
        torch.testing.assert_close(mine, by_hand(stage, query, key).float(), atol=1e-4, rtol=1e-4)


class Random(ToyEncodesTokens):
    """Have queries and keys without structure, of which a head has fewer than tokens."""

    def project(self, hidden: Hidden, layer: int) -> Any:
        numbers = torch.Generator().manual_seed(layer)
        return tuple(
            torch.randn(2, hidden.data.shape[1], 4, generator=numbers) + shift
            for shift in (0, 2, 5)
        )


def test_many_steps_come_to_the_exact_turn() -> None:
    left, _, right = torch.linalg.svd(torch.randn(3, 5, 5, dtype=torch.float64))
    matrices = left * torch.tensor([2.0, 1.0, 0.6, 0.4, 0.2], dtype=torch.float64) @ right
    torch.testing.assert_close(nearly_rotation(matrices, 60), left @ right, atol=1e-4, rtol=0)
    few = torch.linalg.svdvals(nearly_rotation(matrices, 3))
    assert few.max() < 1 + 1e-6
    assert few.min() < 0.5, "a few steps damp weak directions"


def test_every_block_has_a_turn_of_its_own() -> None:
    hidden, model = example(Hidden), Random()
    both = ProcrustesSimilarity(layers=(-2, -1)).run(hidden, model)
    assert both.layers == hidden.layers
    for index, layer in enumerate((-2, -1)):
        alone = ProcrustesSimilarity(layers=(layer,)).run(hidden, model)
        torch.testing.assert_close(both.data[index], alone.data[0])


def test_a_block_that_was_not_kept_is_refused() -> None:
    hidden = example(Hidden)
    with pytest.raises(BadValue, match="was kept for 12 only"):
        ProcrustesSimilarity(layers=(-2,)).run(
            Hidden(hidden.data[1:], hidden.layers[1:], hidden.grid), Random()
        )
