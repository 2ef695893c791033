from __future__ import annotations

import torch

from ovsskit.engine.values import Gathered, Hidden
from ovsskit.stages.attention.add_class_token import AddClassToken
from ovsskit.testing import example


def test_every_patch_gets_a_share_of_the_class_token() -> None:
    gathered, hidden = example(Gathered), example(Hidden)
    found = AddClassToken(weight=0.3).run(gathered, hidden)
    for row in range(gathered.grid[0]):
        for column in range(gathered.grid[1]):
            expected = gathered.data[:, row, column] + 0.3 * hidden.data[-1, 0]
            torch.testing.assert_close(found.data[:, row, column], expected)
    assert found.layer == gathered.layer
