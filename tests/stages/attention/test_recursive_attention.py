"""What tokens gather is compared head by head, as plain loops say."""

from __future__ import annotations

import math

import pytest
import torch

from ovsskit.engine.values import Attention, Hidden
from ovsskit.errors import BadValue
from ovsskit.stages.attention.recursive_attention import RecursiveAttention
from ovsskit.testing import ToyBackbone, example

TOY = ToyBackbone()


@pytest.mark.parametrize("scale", [10.0, 2.5])
def test_as_plain_loops_say(scale: float) -> None:
    hidden, attention = example(Hidden), example(Attention)
    found = RecursiveAttention(scale=scale).run(attention, hidden, TOY)
    assert (found.layers, found.grid) == (attention.layers, attention.grid)
    for index, layer in enumerate(attention.layers):
        values = TOY.project(hidden, layer)[2]
        gathered = torch.stack([attention.data[index, h] @ values[h] for h in range(2)])
        joined = TOY.join_heads(layer, gathered)
        for head in range(2):
            depth = joined.shape[1] // 2
            part = joined[:, head * depth : (head + 1) * depth]
            for row in (0, 3, len(part) - 1):
                weights = []
                for other in part:
                    lengths = float(part[row].norm() * other.norm())
                    cosine = float(part[row] @ other) / lengths
                    weights.append(math.exp(scale * cosine) if cosine >= 0 else 0.0)
                expected = torch.tensor(weights) / sum(weights)
                torch.testing.assert_close(found.data[index, head, row], expected)


def test_what_gathered_the_opposite_is_left_out() -> None:
    hidden = example(Hidden)
    found = RecursiveAttention().run(example(Attention), hidden, TOY).data
    assert (found == 0).any()
    assert (found.diagonal(dim1=-2, dim2=-1) > 0).all()
    torch.testing.assert_close(found.sum(-1), torch.ones_like(found.sum(-1)))


def test_attention_of_a_block_whose_input_was_not_kept() -> None:
    other = Attention(example(Attention).data, (3, 12), example(Attention).grid)
    with pytest.raises(BadValue, match="attention of block 3; the tokens of block 11, 12"):
        RecursiveAttention().run(other, example(Hidden), TOY)
