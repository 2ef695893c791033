from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Hidden
from ovsskit.errors import BadValue
from ovsskit.stages.attention.sum_hidden import SumHidden
from ovsskit.testing import ToyBackbone, example


def test_the_sum_stands_as_what_enters_a_block() -> None:
    hidden = example(Hidden)
    found = SumHidden(layers=(11, 12), into=-1).run(hidden, ToyBackbone())
    assert found.layers == (12,)
    torch.testing.assert_close(found.data[0], hidden.data[0] + hidden.data[1])


def test_a_block_whose_input_was_not_kept() -> None:
    with pytest.raises(BadValue, match="asks for 5"):
        SumHidden(layers=(5, 12)).run(example(Hidden), ToyBackbone())
