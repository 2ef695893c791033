from __future__ import annotations

import torch

from ovsskit.engine.values import Hidden, PatchWeights
from ovsskit.stages.attention.gather_values import GatherValues
from ovsskit.stages.attention.guided_attention import GuidedAttention
from ovsskit.testing import ToyBackbone, example


def test_all_heads_gather_by_the_same_weights() -> None:
    toy, hidden, weights = ToyBackbone(), example(Hidden), example(PatchWeights)
    attention = GuidedAttention().run(weights, hidden, toy)
    assert (attention.layers, attention.others) == ((12,), 0)
    found = GatherValues().run(hidden, attention, toy)
    values = toy.project(hidden, 12)[2][:, 1:]
    expected = toy.join_heads(12, torch.stack([weights.data @ head for head in values]))
    torch.testing.assert_close(found.vectors, expected)
