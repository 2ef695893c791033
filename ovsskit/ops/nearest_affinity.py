"""Tie everything to what it is most like, and to what is near: the weights of a graph.

Source: LPOSS (CVPR 2025, arXiv 2503.19777), released code; the normalisation is that of Zhou et
al., "Learning with Local and Global Consistency", NeurIPS 2003.
"""

from __future__ import annotations

from ovsskit._lazy import Float, torch

AT_ONCE = 1 << 22
"""Pairs whose distance is computed at once: 16 MB."""


def nearest_affinity(
    vectors: Float[torch.Tensor, "node width"],
    places: Float[torch.Tensor, "node 2"],
    *,
    neighbours: int,
    power: float = 1.0,
    distance_scale: float = 0.0,
    distance_power: float = 1.0,
) -> Float[torch.Tensor, "node node"]:
    """Return how strongly every two nodes are tied, from 0 to 2; symmetric, with its diagonal.

    A node chooses those that its vector has the highest cosines with, itself among them. A choice
    weighs the cosine (negative ones 0) to a `power`, times exp(-`distance_scale` distance to the
    `distance_power`). Both ends add theirs, so that an edge that both chose counts twice.
    """
    unit = torch.nn.functional.normalize(vectors, dim=1)
    affinity, count = unit @ unit.T, len(unit)
    nearest = affinity.topk(min(neighbours, count), dim=1, sorted=False).indices
    chosen = torch.zeros_like(affinity, dtype=torch.bool).scatter_(1, nearest, value=True)
    affinity.clamp_(min=0).pow_(power)
    step = max(1, AT_ONCE // max(count, 1))
    for first in range(0, count, step):
        rows = slice(first, first + step)
        far = torch.cdist(places[rows], places, compute_mode="donot_use_mm_for_euclid_dist").pow_(
            distance_power
        )
        times = chosen[rows].to(far) + chosen[:, rows].T
        affinity[rows] *= far.mul_(-distance_scale).exp_().mul_(times)
    return affinity


def normalise_degrees(
    affinity: Float[torch.Tensor, "node node"],
) -> Float[torch.Tensor, "node node"]:
    """Return D^-1/2 A D^-1/2 of ties A without their diagonal; D are the sums of rows.

    The ties are overwritten. A node without ties is left without.
    """
    affinity.fill_diagonal_(0)
    root = root_of_degree(affinity.sum(1))
    return affinity.mul_(root[:, None]).mul_(root)


def root_of_degree(degree: Float[torch.Tensor, "*node"]) -> Float[torch.Tensor, "*node"]:
    """Return 1 / sqrt(degree), and 1 for a degree of 0."""
    return torch.where(degree > 0, degree, 1.0).rsqrt()
