from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsskit.ops.shifted_ties import ShiftedTies, tie_by_colour


def matrix(colours: torch.Tensor, radius: int, scale: float) -> torch.Tensor:
    """Write the matrix of all ties out, pixel by pixel."""
    height, width = colours.shape[1:]
    found = torch.zeros(height * width, height * width, dtype=colours.dtype)
    for row, column in product(range(height), range(width)):
        for down, right in product(range(-radius, radius + 1), repeat=2):
            other = (row + down, column + right)
            inside = 0 <= other[0] < height and 0 <= other[1] < width
            if inside and (down, right) != (0, 0):
                far = math.dist(colours[:, row, column].tolist(), colours[:, *other].tolist())
                found[row * width + column, other[0] * width + other[1]] = math.exp(-far / scale)
    return found


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    radius=st.integers(1, 8),
    seed=st.integers(0, 99),
    block=st.sampled_from([2, 9, 1 << 17]),
)
def test_against_the_matrix(size: tuple[int, int], radius: int, seed: int, block: int) -> None:
    random = torch.Generator().manual_seed(seed)
    colours = torch.rand(3, *size, generator=random, dtype=torch.float64)
    maps = torch.rand(2, size[0] * size[1], generator=random, dtype=torch.float64)
    ties, expected = tie_by_colour(colours, radius, 0.3), matrix(colours, radius, 0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ovsskit.ops.shifted_ties.AT_ONCE", block)
        torch.testing.assert_close(ties.gather(maps), maps @ expected)
        torch.testing.assert_close(ties.degree(), expected.sum(1))
        degree = torch.where(expected.sum(1) > 0, expected.sum(1), 1.0)
        normal = expected / (degree[:, None] * degree).sqrt()
        torch.testing.assert_close(ties.normalised().gather(maps), maps @ normal)


def test_half_of_the_neighbours_are_held() -> None:
    ties = tie_by_colour(torch.rand(3, 20, 30), 6, 0.01)
    assert ties.weights.shape == (84, 600)
    assert len(set(ties.steps)) == 84
    assert min(ties.steps) == 1


def test_nothing_is_tied_across_the_end_of_a_row() -> None:
    ties = tie_by_colour(torch.ones(3, 2, 4), 1, 0.01)
    right = dict(zip(ties.steps, ties.weights, strict=True))[1].view(2, 4)
    assert torch.equal(right, torch.tensor([[1.0, 1.0, 1.0, 0.0]]).expand(2, 4))


def test_normalising_leaves_ties_as_they_are() -> None:
    ties = tie_by_colour(torch.rand(3, 4, 5), 2, 0.3)
    before = ties.weights.clone()
    assert isinstance(ties.normalised(), ShiftedTies)
    assert torch.equal(ties.weights, before)
