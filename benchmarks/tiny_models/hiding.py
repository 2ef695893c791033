"""Hide patches the way Salience DropOut does."""

from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

UNTOUCHED: Final = 0.4
MOST_HIDDEN: Final = 24


def hide_patches(
    rng: np.random.Generator, pixels: Float[Tensor, "b 3 side side"], patch: int
) -> Float[Tensor, "b 3 side side"]:
    """Set some patches of most images to the mean colour, scattered or side by side."""
    grid = pixels.shape[-1] // patch
    chosen = [choose_patches(rng, grid, UNTOUCHED, MOST_HIDDEN) for _ in pixels]
    hidden = torch.from_numpy(np.stack(chosen))
    hidden = hidden.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
    return pixels.masked_fill(hidden[:, None], 0)


def choose_patches(
    rng: np.random.Generator, grid: int, untouched: float, most: int
) -> Bool[ndarray, "grid grid"]:
    """Choose fewer than `most` patches, scattered or side by side; none in this share of draws."""
    if rng.random() < untouched:
        return np.zeros((grid, grid), bool)
    row, column = np.mgrid[:grid, :grid] - rng.integers(0, grid, (2, 1, 1))
    order = np.hypot(row, column) + rng.uniform(0, grid) * rng.random((grid, grid))
    nearest = np.sort(order, None)[int(rng.integers(1, most))]
    return np.asarray(order < nearest)
