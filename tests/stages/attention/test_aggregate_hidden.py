from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Hidden, PatchWeights
from ovsskit.errors import BadValue
from ovsskit.stages.attention.aggregate_hidden import AggregateHidden
from ovsskit.testing import ToyBackbone, example


def test_patches_of_some_blocks_become_means_and_all_else_stays() -> None:
    hidden, weights = example(Hidden), example(PatchWeights)
    found = AggregateHidden(layers=(-1,)).run(hidden, weights, ToyBackbone())
    torch.testing.assert_close(found.entering(12)[1:], weights.data @ hidden.entering(12)[1:])
    assert torch.equal(found.data[:, 0], hidden.data[:, 0])
    assert torch.equal(found.entering(11), hidden.entering(11))


def test_weights_on_another_grid_are_refused() -> None:
    with pytest.raises(BadValue, match="a grid of 2 x 3 patches"):
        AggregateHidden().run(example(Hidden), PatchWeights(torch.eye(6), (2, 3)), ToyBackbone())
