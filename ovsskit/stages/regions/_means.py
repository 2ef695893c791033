"""What regions look like: means over their pixels."""

from __future__ import annotations

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.values import Regions
from ovsskit.engine.values.features import Features


def means_over_pixels(
    regions: Regions, features: Features
) -> tuple[Int[torch.Tensor, " region"], Float[torch.Tensor, "region width"]]:
    """Return all numbers of regions, ascending, and the mean of the unit vectors in each.

    A pixel has the vector of the patch in which it lies, so that the smallest region has a mean.
    """
    (height, width), (rows, columns) = regions.data.shape, features.grid
    numbers, members = regions.data.unique(return_inverse=True)
    device, count = members.device, rows * columns
    down = torch.arange(height, device=device) * rows // height
    across = torch.arange(width, device=device) * columns // width
    patches = down[:, None] * columns + across
    pairs = (members * count + patches).flatten()
    pixels = torch.bincount(pairs, minlength=len(numbers) * count).view(len(numbers), count).float()
    unit = torch.nn.functional.normalize(features.vectors.float(), dim=-1)
    return numbers, (pixels @ unit) / pixels.sum(1, keepdim=True)
