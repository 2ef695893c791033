from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pretend_device import NAME, PretendDevice, There
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


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 9),
    sides=st.integers(1, 4),
    seed=st.integers(0, 999),
    steps=st.sampled_from(["own", "shared"]),
)
def test_every_step_brings_it_nearer(size: int, sides: int, seed: int, steps: Steps) -> None:
    """In the norm of the operator, the error only falls; after as many steps as there are unknowns
    nothing is left, and twice the right side has twice the solution.
    """
    random = torch.Generator().manual_seed(seed)
    root = torch.rand(size, size, generator=random, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(size, dtype=torch.float64)
    right = torch.rand(sides, size, generator=random, dtype=torch.float64) - 0.5
    solution = torch.linalg.solve(matrix, right, left=False)

    def solve(right: torch.Tensor, iterations: int) -> torch.Tensor:
        return conjugate_gradient(lambda x: x @ matrix, right, iterations=iterations, steps=steps)

    def error(found: torch.Tensor) -> float:
        return float(((found - solution) @ matrix * (found - solution)).sum())

    count = size * sides if steps == "shared" else size
    errors = [error(solve(right, iterations)) for iterations in range(count + 1)]
    assert all(after <= before + 1e-12 for before, after in pairwise(errors))
    assert errors[-1] <= 1e-10 * max(errors[0], 1e-12) + 1e-14
    torch.testing.assert_close(solve(2 * right, 3), 2 * solve(right, 3))


def test_inputs_are_left_as_they_are() -> None:
    matrix, right = system()
    start = torch.rand_like(right)
    before = right.clone(), start.clone()
    conjugate_gradient(lambda x: x @ matrix, right, start, iterations=3)
    assert torch.equal(right, before[0])
    assert torch.equal(start, before[1])


@pytest.mark.parametrize("tolerance", [0.0, 1e-2])
def test_a_device_is_not_waited_for(tolerance: float) -> None:
    """It goes on after all are solved, which changes nothing."""
    matrix, right = torch.diag(torch.arange(1.0, 6)), torch.eye(5)[:2].contiguous()
    here = conjugate_gradient(lambda x: x @ matrix, right, iterations=9, tolerance=tolerance)
    with PretendDevice() as device:
        there, mine = matrix.to(NAME), right.to(NAME)
        device.waits.clear()
        found = conjugate_gradient(lambda x: x @ there, mine, iterations=9, tolerance=tolerance)
        assert [wait for wait in device.waits if wait.kind != "send"] == []
    assert isinstance(found, There)
    assert torch.equal(found.here, here)
