"""What the examples of values share: names, sizes, and random numbers that follow from a seed."""

from __future__ import annotations

from ovsskit._lazy import Float, torch

NAMES = ("dog", "ice cream", "grass")
SIZE = (24, 35)
"""Height and width of an image."""
GRID = (4, 5)
"""Rows and columns of patches."""
PATCH_TOKENS = 1 + GRID[0] * GRID[1]
LAYERS, HEADS = 12, 12
WIDTH = 8


def uniform(seed: int, *shape: int) -> Float[torch.Tensor, "..."]:
    """Return random numbers from 0 to 1."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def brightness(data: Float[torch.Tensor, "3 h w"]) -> Float[torch.Tensor, "rows cols"]:
    """Return how bright the patches of an image are: what toys see of it."""
    return torch.nn.functional.adaptive_avg_pool2d(data.mean(0)[None], GRID)[0]
