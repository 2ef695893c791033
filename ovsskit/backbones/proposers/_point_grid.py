"""Propose masks by asking a SAM about a grid of points."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from ovsskit._lazy import Bool, Float, kornia, torch
from ovsskit.backbones.proposers._proposer import Proposer
from ovsskit.engine.values import Image, Masks

POINTS_AT_ONCE = 64
"""How many points of every image of a batch are decoded in one pass, as SAM's generators do."""
OFFSET = 1.0
"""By how much the threshold of a mask is moved to see whether it is stable."""


class PointGrid(Proposer):
    """Ask for one mask at every point of a grid, and drop those that are unsure, unstable or alike.

    Fewer images at once (`--batch`) means fewer points at once.
    """

    points: Annotated[int, Field(ge=1, description="points along each side of the grid")] = 32
    min_iou: Annotated[
        float, Field(ge=0, le=1, description="what the model reckons a mask's IoU to be, at least")
    ] = 0.8
    min_stability: Annotated[
        float,
        Field(
            ge=0, le=1, description="IoU of the masks at a higher and a lower threshold, at least"
        ),
    ] = 0.95
    max_overlap: Annotated[
        float, Field(ge=0, le=1, description="IoU of the boxes of two masks that are kept, at most")
    ] = 0.7

    @abstractmethod
    def embed(self, prepared: Any) -> Any:
        """Return what the decoder reads of prepared images, once for all points."""

    @abstractmethod
    def to_pixels(self, points: Float[torch.Tensor, "point 2"], prepared: Any) -> Any:
        """Return points (from 0 to 1; x, y) in the pixels of each prepared image: image point 2."""

    @abstractmethod
    def enlarge(
        self, logits: Float[torch.Tensor, "mask rows cols"], index: int, prepared: Any
    ) -> Float[torch.Tensor, "mask h w"]:
        """Return the logits of an image's masks at the image's size."""

    def propose_masks(self, images: Sequence[Image]) -> list[Masks]:
        """Return the masks of every image, the surest first."""
        with torch.no_grad():
            prepared = self.prepare_images(images)
            embedded = self.embed(prepared)
            points = self.to_pixels(point_grid(self.points), prepared).to(self._device, self.dtype)
            kept: list[list[tuple[Any, Any]]] = [[] for _ in images]
            for some in points.split(POINTS_AT_ONCE, 1):
                found = self.network(
                    image_embeddings=embedded, input_points=some[:, :, None], multimask_output=False
                )
                masks, ious = found.pred_masks[:, :, 0].float(), found.iou_scores[:, :, 0].float()
                for index, mine in enumerate(kept):
                    logits = self.enlarge(masks[index], index, prepared)
                    mine.append(self._choose(logits, ious[index]))
        chosen = []
        for image, mine in zip(images, kept, strict=True):
            data, scores = (torch.cat(parts) for parts in zip(*mine, strict=True))
            chosen.append(self._drop_alike(data, scores).to(image.data.device))
        return chosen

    def _choose(
        self, logits: Float[torch.Tensor, "mask h w"], ious: Float[torch.Tensor, " mask"]
    ) -> tuple[Bool[torch.Tensor, "kept h w"], Float[torch.Tensor, " kept"]]:
        """Return the masks that are sure and stable, and their scores."""
        inner, outer = ((logits > one).flatten(1).sum(1) for one in (OFFSET, -OFFSET))
        data = logits > 0
        sure = (ious > self.min_iou) & (inner >= self.min_stability * outer)
        sure &= data.flatten(1).any(1)
        return data[sure], ious[sure]

    def _drop_alike(
        self, data: Bool[torch.Tensor, "mask h w"], scores: Float[torch.Tensor, " mask"]
    ) -> Masks:
        """Return the masks without those whose box is nearly that of a surer one."""
        if len(data):
            kept = kornia.geometry.bbox.nms(boxes_around(data), scores, self.max_overlap)
            data, scores = data[kept], scores[kept]
        return Masks(data, scores)


def point_grid(side: int) -> Float[torch.Tensor, "point 2"]:
    """Return x and y of the middles of a grid of cells from 0 to 1, row by row."""
    middles = (torch.arange(side) + 0.5) / side
    return torch.cartesian_prod(middles, middles).flip(-1)


def boxes_around(data: Bool[torch.Tensor, "mask h w"]) -> Float[torch.Tensor, "mask 4"]:
    """Return left, top, right and bottom of masks, none of which is empty: pixels' numbers."""
    sides = []
    for dimension in (1, 2):
        there = data.any(dimension).float()
        last = there.shape[1] - 1 - there.flip(1).argmax(1)
        sides.append((there.argmax(1), last))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], 1).float()
