"""Let patches confirm each other's classes: the first half of TagCLIP's tagger."""

from __future__ import annotations

from ovsskit._lazy import Bool, Float, torch
from ovsskit.ops.boxes import inside_boxes, scale


def vote(
    attention: Float[torch.Tensor, "layer patch patch"],
    mean: Float[torch.Tensor, "patch patch"],
    votes: int,
) -> Float[torch.Tensor, "patch patch"]:
    """Return the mean of some blocks' attention where enough of all blocks agree on it, else 0.

    A block votes for two patches if its attention between them is above its mean over all pairs.
    """
    return torch.where(count_votes(attention) >= votes, mean, 0)


def count_votes(
    attention: Float[torch.Tensor, "layer patch patch"],
) -> Float[torch.Tensor, "patch patch"]:
    """Return how many blocks vote for each pair of patches."""
    total = torch.zeros_like(attention[0])
    for one in attention:
        total += one > one.mean()
    return total


def boxes_of(
    maps: Float[torch.Tensor, "text rows cols"],
) -> Bool[torch.Tensor, "text rows cols"]:
    """Return what lies in the boxes around the places of each map that are above its mean."""
    scaled = scale(maps)
    return inside_boxes(scaled, torch.stack([one.mean() for one in scaled]).tolist())


def refine(
    weights: Float[torch.Tensor, "patch patch"], coarse: Float[torch.Tensor, "text rows cols"]
) -> Float[torch.Tensor, "text rows cols"]:
    """Return what patches take in of the coarse maps, once from everywhere, then from the boxes.

    The boxes are those of the first maps, and what is taken in is of the coarse ones again.
    """
    first = spread(weights, coarse)
    return spread(weights, coarse * boxes_of(first))


def spread(
    weights: Float[torch.Tensor, "patch patch"], maps: Float[torch.Tensor, "text rows cols"]
) -> Float[torch.Tensor, "text rows cols"]:
    """Return what patches take in of maps, with these weights."""
    return (maps.flatten(1) @ weights.T).view_as(maps)
