from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.values import Gathered, PatchFeatures, PatchWeights
from ovsskit.errors import BadValue
from ovsskit.stages.attention.aggregate import Aggregate
from ovsskit.testing import example


@pytest.mark.parametrize("kind", [PatchFeatures, Gathered])
def test_every_patch_becomes_a_weighted_mean(kind: Any) -> None:
    features, weights = example(kind), example(PatchWeights)
    found = Aggregate().run(features, weights)
    assert type(found) is kind
    columns = features.grid[1]
    for patch in range(len(weights.data)):
        expected = sum(
            weights.data[patch, other] * features.data[:, other // columns, other % columns]
            for other in range(len(weights.data))
        )
        mine = found.data[:, patch // columns, patch % columns]
        torch.testing.assert_close(mine, expected, atol=1e-6, rtol=1e-5)


def test_weights_on_another_grid_are_refused() -> None:
    weights = PatchWeights(torch.eye(6), (2, 3))
    with pytest.raises(BadValue, match="a grid of 2 x 3 patches, but .* of 4 x 5"):
        Aggregate().run(example(PatchFeatures), weights)
