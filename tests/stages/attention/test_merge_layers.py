from __future__ import annotations

import torch

from ovsskit.engine.values import Attention
from ovsskit.stages.attention.merge_layers import MergeLayers


def test_the_last_block_against_the_mean_of_the_others() -> None:
    data = torch.rand(4, 2, 7, 7)
    found = MergeLayers(weight=0.7).run(Attention(data, (2, 5, 6, 9), (2, 3)))
    torch.testing.assert_close(
        found.data, (0.7 * data[3] + 0.1 * data[0] + 0.1 * data[1] + 0.1 * data[2])[None]
    )
    assert found.layers == (9,)
    assert found.grid == (2, 3)


def test_a_lone_block_stays_as_it_is() -> None:
    alone = Attention(torch.rand(1, 2, 7, 7), (9,), (2, 3))
    assert torch.equal(MergeLayers(weight=0.2).run(alone).data, alone.data)
