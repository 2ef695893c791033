"""Tie every pixel to those around it, without a matrix: one map of weights for every shift.

A matrix of all ties among 448 x 597 pixels and their 168 neighbours has 45 million entries, each
with its place. Here a tie and its mirror share one number, and places follow from the shift.
Source: LPOSS+ (CVPR 2025, arXiv 2503.19777), whose released code makes the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from ovsskit._lazy import Float, torch
from ovsskit.ops.nearest_affinity import root_of_degree

AT_ONCE = 1 << 17
"""Numbers of maps that a processor keeps near while it goes through all shifts."""


@dataclass(frozen=True)
class ShiftedTies:
    """Hold the ties of pixels, which are counted row by row.

    `weights` ties every pixel to the one that lies `steps` behind it; where that is no neighbour,
    such as in the next row, they are 0. Ties hold in both directions.
    """

    steps: tuple[int, ...]
    weights: Float[torch.Tensor, "shift pixel"]

    def gather(self, maps: Float[torch.Tensor, "map pixel"]) -> Float[torch.Tensor, "map pixel"]:
        """Return for every pixel the sum of its neighbours, times the ties to them."""
        total, (count, pixels) = torch.zeros_like(maps), maps.shape
        block = max(1, AT_ONCE // count) if maps.device.type == "cpu" else pixels
        for first in range(0, pixels, block):
            for step, weights in zip(self.steps, self.weights, strict=True):
                last = min(first + block, pixels - step)
                if last <= first:
                    continue
                here, there = slice(first, last), slice(first + step, last + step)
                total[:, here].addcmul_(weights[here], maps[:, there])
                total[:, there].addcmul_(weights[here], maps[:, here])
        return total

    def degree(self) -> Float[torch.Tensor, " pixel"]:
        """Return the sum of every pixel's ties."""
        return self.gather(self.weights.new_ones(1, self.weights.shape[1]))[0]

    def normalised(self) -> ShiftedTies:
        """Return the ties divided by the roots of the degrees of both ends; the degree 0 is 1."""
        root, weights = root_of_degree(self.degree()), self.weights.clone()
        for step, row in zip(self.steps, weights, strict=True):
            row[: len(row) - step].mul_(root[: len(root) - step]).mul_(root[step:])
        return ShiftedTies(self.steps, weights)


def tie_by_colour(
    colours: Float[torch.Tensor, "channel h w"], radius: int, scale: float
) -> ShiftedTies:
    """Return ties exp(-d / `scale`) of pixels within `radius` rows and columns of each other.

    d is the Euclidean distance of their colours. A pixel is not tied to itself.
    """
    height, width = colours.shape[1:]
    shifts = [
        (down, right)
        for down, right in product(range(radius + 1), range(-radius, radius + 1))
        if (down, right) > (0, 0) and down < height and abs(right) < width
    ]
    weights = colours.new_zeros(len(shifts), height, width)
    for (down, right), map_ in zip(shifts, weights, strict=True):
        left, end = max(0, -right), width - max(0, right)
        here = (slice(0, height - down), slice(left, end))
        there = (slice(down, height), slice(left + right, end + right))
        far = torch.linalg.vector_norm(colours[:, *here] - colours[:, *there], dim=0)
        map_[here] = far.div_(-scale).exp_()
    steps = tuple(down * width + right for down, right in shifts)
    return ShiftedTies(steps, weights.flatten(1))
