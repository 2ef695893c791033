"""Regions at another size, and what counts as in none."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.engine.values import Masks, Regions

SIDES = st.integers(1, 60)


@given(SIDES, SIDES, SIDES, SIDES)
def test_resizing_takes_the_floor_of_exact_fractions(h: int, w: int, rows: int, cols: int) -> None:
    regions = Regions(torch.arange(h * w).view(h, w))
    found = regions.resized((rows, cols)).data
    assert found.shape == (rows, cols)
    for row in {0, rows // 2, rows - 1}:
        for column in {0, cols // 3, cols - 1}:
            assert found[row, column] == (row * h // rows) * w + column * w // cols


def test_uncovered_is_zero_unless_the_lowest_is_meant() -> None:
    regions = Regions(torch.tensor([[3, 4], [9, 3]]))
    assert regions.uncovered("zero") == 0
    assert regions.uncovered("lowest") == 3


def test_laws_are_tested() -> None:
    with pytest.raises(AssertionError, match="negative"):
        Regions.check(Regions(torch.tensor([[-1, 0]])))
    empty = Masks(torch.zeros(1, 2, 2, dtype=torch.bool), torch.ones(1))
    with pytest.raises(AssertionError, match="empty"):
        Masks.check(empty)
