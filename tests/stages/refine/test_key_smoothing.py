from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Hidden, Logits
from ovsskit.stages.refine.key_smoothing import KeySmoothing
from ovsskit.testing import ToyBackbone, example

TOY = ToyBackbone()
HIDDEN: Hidden = example(Hidden)
SCORES = Logits(
    torch.randn(4, *HIDDEN.grid, generator=torch.Generator().manual_seed(3)) * 0.02, (1, 2, 2, 3)
)


def by_hand(threshold: float) -> torch.Tensor:
    """Compare the keys of every two patches, one pair after another."""
    _, keys, _ = TOY.project(HIDDEN, HIDDEN.layers[-1])
    vectors = TOY.join_heads(HIDDEN.layers[-1], keys)[1:].double()
    vectors = vectors / vectors.square().sum(0).sqrt()
    found = (SCORES.data.double() * 100).softmax(0).flatten(1)
    before = found.clone()
    for patch in range(len(vectors)):
        if before[:, patch].max() < threshold:
            found[:, patch] = sum(
                (vectors[patch] * vectors[other]).sum() * before[:, other]
                for other in range(len(vectors))
            )
    return found.unflatten(1, HIDDEN.grid)


@pytest.mark.parametrize("below", [0.0, 0.7, 1.0])
def test_unsure_patches_follow_like_keys(below: float) -> None:
    found = KeySmoothing(below=below).run(SCORES, HIDDEN, TOY)
    assert isinstance(found, Logits)
    torch.testing.assert_close(found.data.double(), by_hand(below), atol=1e-5, rtol=1e-5)


def test_some_patches_are_sure() -> None:
    best = (SCORES.data * 100).softmax(0).amax(0)
    assert 0 < int((best < 0.7).sum()) < best.numel()


def test_maps_of_another_grid_come_to_that_of_the_patches() -> None:
    found = KeySmoothing().run(SCORES.with_data(torch.full((4, 9, 9), 0.02)), HIDDEN, TOY).data
    flat = (
        KeySmoothing().run(SCORES.with_data(torch.full((4, *HIDDEN.grid), 0.02)), HIDDEN, TOY).data
    )
    torch.testing.assert_close(found, flat)
