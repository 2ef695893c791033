from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Attention
from ovsskit.errors import BadValue
from ovsskit.stages.attention.mix_attention import MixAttention
from ovsskit.testing import example


def test_a_share_of_the_mean_over_the_others_blocks() -> None:
    own, other = example(Attention), example(Attention, 3)
    found = MixAttention(weight=0.3, scale=2.0).run(own, other)
    assert found.layers == own.layers
    mean = (other.data[0] + other.data[1]) / 2
    for row in range(2):
        torch.testing.assert_close(found.data[row], 2 * (0.7 * own.data[row] + 0.3 * mean))
    torch.testing.assert_close(found.data.sum(-1), torch.full(found.data.shape[:-1], 2.0))


def test_one_matrix_for_all_heads_is_mixed_into_each() -> None:
    own = example(Attention)
    one = Attention(example(Attention, 3).data[:1, :1], (12,), own.grid)
    found = MixAttention(weight=0.5).run(own, one)
    torch.testing.assert_close(found.data[1, 1], (own.data[1, 1] + one.data[0, 0]) / 2)


def test_attention_of_other_tokens_is_refused() -> None:
    own = example(Attention)
    other = Attention(own.data[..., 1:, 1:], own.layers, own.grid)
    with pytest.raises(BadValue, match="attention of 21 tokens .* with that of 20"):
        MixAttention().run(own, other)
