from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import CrossAttention
from ovsskit.errors import BadValue
from ovsskit.stages.maps.select_head import SelectHead
from ovsskit.testing import example


def test_layers_count_from_1_and_heads_from_0() -> None:
    attention = example(CrossAttention)
    picked = SelectHead(layer=2, head=1).run(attention)
    assert (picked.layers, picked.heads) == ((2,), (1,))
    torch.testing.assert_close(picked.probability, attention.probability[1:2, 1:2])
    torch.testing.assert_close(picked.gradient, attention.gradient[1:2, 1:2])
    assert SelectHead(layer=1, head="all").run(attention).heads == attention.heads


@pytest.mark.parametrize(("layer", "head"), [(99, 0), (1, 99)])
def test_what_is_not_there(layer: int, head: int) -> None:
    with pytest.raises(BadValue, match="holds the"):
        SelectHead(layer=layer, head=head).run(example(CrossAttention))
