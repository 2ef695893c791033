from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import cg

from ovsskit.ops.conjugate_gradient import Steps, conjugate_gradient


def system(size: int = 12, sides: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a symmetric positive definite matrix, and right sides."""
    root = torch.rand(size, size, dtype=torch.float64)
    return root @ root.T + torch.eye(size, dtype=torch.float64), torch.rand(
        sides, size, dtype=torch.float64
    )


@pytest.mark.parametrize("steps", ["own", "shared"])
@pytest.mark.parametrize("has_start", [False, True])
def test_enough_steps_solve(steps: Steps, has_start: bool) -> None:
    matrix, right = system()
    start = torch.rand_like(right) if has_start else None
    found = conjugate_gradient(
        lambda x: x @ matrix, right, start, iterations=200, steps=steps, guard=1e-30
    )
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right, left=False))


@pytest.mark.parametrize("iterations", [0, 1, 4])
def test_few_steps_of_ones_own_are_those_of_scipy(iterations: int) -> None:
    matrix, right = system()
    found = conjugate_gradient(lambda x: x @ matrix, right, iterations=iterations)
    for mine, side in zip(found, right, strict=True):
        theirs, _ = cg(matrix.numpy(), side.numpy(), rtol=0, maxiter=iterations)
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-9)


def test_what_is_solved_is_left_alone() -> None:
    """A right side of 0, and one that the first step solves, do not move while others are solved;
    scipy stops at the same steps.
    """
    matrix = torch.diag(torch.arange(1.0, 9).double())
    right = torch.rand(4, 8, dtype=torch.float64)
    right[0], right[1] = 0, torch.eye(8)[2]
    right[2, 2:] *= 1e-3
    found = conjugate_gradient(lambda x: x @ matrix, right, iterations=7, tolerance=1e-2)
    for mine, side in zip(found, right, strict=True):
        theirs, _ = cg(matrix.numpy(), side.numpy(), rtol=1e-2, maxiter=7)
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-9, atol=1e-12)
    assert not found[0].any()


def test_a_shared_step_makes_one_system_of_all() -> None:
    matrix, right = system(6, 2)
    found = conjugate_gradient(lambda x: x @ matrix, right, iterations=3, steps="shared")
    both = torch.block_diag(matrix, matrix)
    alone = conjugate_gradient(lambda x: x @ both, right.view(1, -1), iterations=3)
    torch.testing.assert_close(found.view(1, -1), alone)
    own = conjugate_gradient(lambda x: x @ matrix, right, iterations=3)
    assert not torch.allclose(found, own, rtol=1e-4)


def test_places_may_have_any_axes() -> None:
    weights = 1 + torch.rand(3, 4)
    right = torch.rand(2, 3, 4)
    found = conjugate_gradient(lambda x: weights * x, right, iterations=40)
    torch.testing.assert_close(found, right / weights)
