"""Images of noise for tests."""

from __future__ import annotations

import torch

from ovsskit.engine.values import Image


def noise(height: int, width: int, seed: int = 0) -> Image:
    """Return an image of so many rows and columns, the same for every seed."""
    return Image(torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)))
