from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import PatchFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.attention.add_features import AddFeatures


def test_the_weighted_sum() -> None:
    one, other = PatchFeatures.example(0), PatchFeatures.example(1)
    found = AddFeatures(weight=0.5).run(one, other)
    torch.testing.assert_close(found.data, one.data + 0.5 * other.data)


def test_another_grid_is_refused() -> None:
    one = PatchFeatures.example()
    with pytest.raises(BadValue, match="grid"):
        AddFeatures().run(one, PatchFeatures(one.data[:, :2, :3]))
