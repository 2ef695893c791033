"""CLIP's position embeddings are resized as each method does."""

from __future__ import annotations

from typing import Any

import torch

from ovsskit.backbones.clip import _vision as vision

close = torch.testing.assert_close


def cubic(
    before: int, after: int, step: float, sharpness: float, widen: float = 1.0
) -> torch.Tensor:
    """Return the matrix of Keys' cubic convolution that samples a line at steps, borders repeated
    (or cut, if widened).
    """
    matrix = torch.zeros(after, before, dtype=torch.float64)
    for row in range(after):
        centre = (row + 0.5) * step - 0.5
        for source in range(-12, before + 12):
            x = abs(source - centre) / widen
            near = (sharpness + 2) * x**3 - (sharpness + 3) * x**2 + 1
            far = sharpness * (x**3 - 5 * x**2 + 8 * x - 4)
            weight = near if x <= 1 else far if x < 2 else 0.0
            if widen == 1 or 0 <= source < before:
                matrix[row, min(max(source, 0), before - 1)] += weight
    return matrix / matrix.sum(1, keepdim=True)


def test_position_embeddings() -> None:
    """Reference: cubic convolution written out; torch's own is sharper than the one that it
    antialiases with.
    """
    table = torch.rand(1 + 12 * 12, 5, generator=torch.Generator().manual_seed(0))
    planes = table[1:].double().view(12, 12, 5)
    assert vision.place_embeddings(table, (12, 12), (9, 16), "scale") is table
    grid = (18, 9)
    ways: dict[Any, list[torch.Tensor]] = {
        "scale": [cubic(12, side, 12 / (side + 0.1), -0.75) for side in grid],
        "size": [cubic(12, side, 12 / side, -0.75) for side in grid],
        "size_antialias": [
            cubic(12, side, 12 / side, -0.5, max(1.0, 12 / side) + 1e-9) for side in grid
        ],
    }
    for how, (vertical, horizontal) in ways.items():
        found = vision.place_embeddings(table, (12, 12), grid, how)
        expected = torch.einsum("ra,cb,abw->rcw", vertical, horizontal, planes)
        close(found[1:], expected.flatten(0, 1).float(), atol=1e-5, rtol=1e-5)
        assert torch.equal(found[0], table[0])


def linear(before: int, after: int) -> torch.Tensor:
    """Return the matrix that samples a line at the middles of steps, borders repeated."""
    matrix = torch.zeros(after, before, dtype=torch.float64)
    for row in range(after):
        place = min(max((row + 0.5) * before / after - 0.5, 0.0), before - 1.0)
        share = place - int(place)
        matrix[row, int(place)] += 1 - share
        matrix[row, min(int(place) + 1, before - 1)] += share
    return matrix


def test_position_embeddings_in_half_precision() -> None:
    table = torch.rand(1 + 12 * 12, 5, generator=torch.Generator().manual_seed(0))
    planes = table[1:].double().view(12, 12, 5)
    expected = torch.einsum("ra,cb,abw->rcw", linear(12, 18), linear(12, 9), planes)
    ways: tuple[vision.Positions, ...] = ("half", "half_always")
    for how in ways:
        found = vision.place_embeddings(table, (12, 12), (18, 9), how)
        assert torch.equal(found, found.half().float())
        close(found[1:], expected.flatten(0, 1).float(), atol=2.0**-11, rtol=0)
        assert torch.equal(found[0], table[0].half().float())
    assert vision.place_embeddings(table, (12, 12), (12, 12), "half") is table
    rounded = vision.place_embeddings(table, (12, 12), (12, 12), "half_always")
    assert torch.equal(rounded, table.half().float())
    other = vision.place_embeddings(table, (12, 12), (9, 16), "half")
    assert not torch.equal(other, table), "another grid with as many patches"
