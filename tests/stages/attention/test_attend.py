from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Attention, Hidden
from ovsskit.errors import BadValue
from ovsskit.stages.attention.attend import Attend
from ovsskit.testing import ToyBackbone, example

TOY = ToyBackbone()


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("feed_forward", [True, False])
def test_it_hands_its_choices_to_the_model(residual: bool, feed_forward: bool) -> None:
    hidden, attention = example(Hidden), example(Attention)
    found = Attend(residual=residual, feed_forward=feed_forward).run(hidden, attention, TOY)
    expected = TOY.finish(hidden, attention, residual=residual, feed_forward=feed_forward)
    torch.testing.assert_close(found.data, expected.data)


def test_attention_of_a_block_whose_input_was_not_kept() -> None:
    attention = example(Attention)
    other = Attention(attention.data, (3, 12), attention.grid)
    with pytest.raises(
        BadValue, match="attention of block 3; the tokens of block 11, 12 were kept only"
    ):
        Attend().run(example(Hidden), other, TOY)
