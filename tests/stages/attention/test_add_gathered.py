from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Gathered
from ovsskit.errors import BadValue
from ovsskit.stages.attention.add_gathered import AddGathered
from ovsskit.testing import example


def test_the_sum_of_both() -> None:
    one, other = example(Gathered), example(Gathered, 3)
    found = AddGathered(weight=0.5).run(one, other)
    torch.testing.assert_close(found.data, one.data + 0.5 * other.data)


def test_other_grids_are_refused() -> None:
    with pytest.raises(BadValue, match="2 x 3 patches"):
        AddGathered().run(example(Gathered), Gathered(torch.zeros(8, 2, 3), 12))
