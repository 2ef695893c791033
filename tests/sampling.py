"""Bilinear resizing written out, pixel by pixel, to test against."""

from __future__ import annotations

import numpy as np
import torch


def bilinear(data: torch.Tensor, size: tuple[int, int], *, corners: bool = False) -> torch.Tensor:
    """Resize the last two axes without antialiasing: edges on edges, or the middles of corner
    pixels on each other.
    """
    rows, columns = (
        weights(old, new, corners) for old, new in zip(data.shape[-2:], size, strict=True)
    )
    return torch.from_numpy(rows @ data.double().numpy() @ columns.T)


def weights(old: int, new: int, corners: bool) -> np.ndarray:
    """Return how much each of the old pixels of a line counts for each of the new ones."""
    table = np.zeros((new, old))
    for index in range(new):
        if corners:
            place = index * (old - 1) / max(new - 1, 1)
        else:
            place = min(max((index + 0.5) * old / new - 0.5, 0), old - 1)
        before = min(int(place), old - 1)
        after = min(before + 1, old - 1)
        table[index, before] += 1 - (place - before)
        table[index, after] += place - before
    return table
