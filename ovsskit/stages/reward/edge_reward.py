"""Take labels for good whose boundaries lie on the edges of the image."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Bool, Float, Int, kornia, torch
from ovsskit.engine.memo import remember
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Labels, Reward
from ovsskit.stages.reward._sizes import nearest, reduced

Share = Annotated[float, Field(gt=0, le=1)]
Distance = Annotated[int, Field(ge=0, le=16)]
STEPS = 1000
"""Steps of strength in a unit of Lab: what rounding alone tells apart is equal, or flat."""


class EdgeReward(Stage, writes="reward"):
    """Compare the boundaries of labels with the strongest edges of the image, from 0 to 1.

    It is the harmonic mean of two shares: that of the boundary's pixels that lie near an edge
    (precision), and that of the pixels on stronger edges that lie near a boundary (recall). It is 0
    without a boundary, or where the image is flat.
    A pixel is on a boundary if the one above, below, left or right of it has another label. The
    strength of an edge is the length of the Sobel gradients of the three Lab channels; of equal
    ones all count, and a flat place never does. Near is measured in pixels of the reduced image, as
    the larger of the distances in rows and in columns.
    Alone it does not see what a label means, and is best multiplied with a reward that does. The
    edges follow from the image, and a study finds them once. No label file or mask is read.

    Example:
        [[stage]]
        use = "edge_reward"
        recall_distance = 3
    """

    waits: ClassVar[str] = (
        "a reward is one number, made of counts; edges are found once for an image"
    )

    precision_share: Annotated[
        Share, Field(description="share of the pixels, the strongest, that are edges in precision")
    ] = 0.10
    precision_distance: Annotated[
        Distance, Field(description="how far a boundary may lie from these, in pixels")
    ] = 1
    recall_share: Annotated[
        Share, Field(description="share of the pixels, the strongest, that are edges in recall")
    ] = 0.05
    recall_distance: Annotated[
        Distance, Field(description="how far these may lie from a boundary, in pixels")
    ] = 2
    longest: Annotated[
        int, Field(ge=1, description="larger images are reduced to this longer side, in pixels")
    ] = 512

    def run(self, image: Image, labels: Labels) -> Reward:
        """Return the reward of one image."""
        how = self.precision_share, self.precision_distance, self.recall_share, self.longest
        masks = remember(("edges", image.data, *how), partial(self._edges, image.data))
        border = boundary(nearest(labels.ids, masks.shape[1:]))
        near, strong = masks
        reached = within(border, self.recall_distance)
        precision, recall = share_of(near, border), share_of(reached, strong)
        either = precision + recall
        return Reward(image.data.new_full((), 2 * precision * recall / either if either else 0.0))

    def _edges(self, data: Float[torch.Tensor, "3 h w"]) -> Bool[torch.Tensor, "2 rows cols"]:
        """Return what is near an edge of those for precision, and the edges for recall."""
        found = strength(reduced(data, 1.0, self.longest))
        near = within(strongest(found, self.precision_share), self.precision_distance)
        return torch.stack([near, strongest(found, self.recall_share)])


def strength(image: Float[torch.Tensor, "3 h w"]) -> Float[torch.Tensor, "h w"]:
    """Return the length of the Sobel gradients in Lab, in whole thousandths of its unit."""
    slopes = kornia.filters.spatial_gradient(kornia.color.rgb_to_lab(image[None]))[0]
    length: torch.Tensor = slopes.square().sum((0, 1)).sqrt()
    return (length * STEPS).round()


def strongest(strengths: Float[torch.Tensor, "h w"], share: float) -> Bool[torch.Tensor, "h w"]:
    """Return where this share of the pixels is that has the highest strengths, but none of 0."""
    ordered = strengths.flatten().sort(descending=True).values
    last = ordered[max(1, round(share * len(ordered))) - 1]
    return (strengths >= last) & (strengths > 0)


def boundary(ids: Int[torch.Tensor, "h w"]) -> Bool[torch.Tensor, "h w"]:
    """Return the pixels of which one of the four neighbours has another label."""
    pad = torch.nn.functional.pad
    below, right = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    upright = pad(below, (0, 0, 0, 1)) | pad(below, (0, 0, 1, 0))
    return upright | pad(right, (0, 1)) | pad(right, (1, 0))


def within(mask: Bool[torch.Tensor, "h w"], distance: int) -> Bool[torch.Tensor, "h w"]:
    """Return the pixels with one of the mask at most so many rows and columns away."""
    pooled = torch.nn.functional.max_pool2d(mask[None].float(), 2 * distance + 1, 1, distance)
    return pooled[0].bool()


def share_of(one: Bool[torch.Tensor, "h w"], whole: Bool[torch.Tensor, "h w"]) -> float:
    """Return which share of the whole is in the one, 0 if there is no whole."""
    found, count = torch.stack([(one & whole).sum(), whole.sum()]).tolist()
    return float(found / count) if count else 0.0
