"""Make regions of masks that overlap."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Masks, Regions


class PaintRegions(Stage, writes="regions"):
    """Paint masks over each other, each in the number of its turn: the last one is seen whole.

    Masks of equal area or score keep their order. By ascending area a mask hides all smaller ones
    inside it; by ascending score the surest is seen whole.
    Source: CorrCLIP, released code: SAM 2's masks by area, those of EntitySeg by score, and those
    of Mask2Former and EoMT as they are, which do not overlap.

    Example:
        [[stage]]
        use = "paint_regions"
        order = "score"
    """

    waits: ClassVar[str] = "for the order of masks, in which they are painted one after the other"

    order: Annotated[
        Literal["area", "score", "given"],
        Field(description="which masks are painted first: the smallest, the least sure, the first"),
    ] = "area"

    def run(self, masks: Masks) -> Regions:
        """Return the number of the last mask on every pixel, from 1; 0 where there is none."""
        painted = torch.zeros(masks.data.shape[1:], dtype=torch.int64, device=masks.data.device)
        for turn, mask in enumerate(self._turns(masks), 1):
            painted[masks.data[mask]] = turn
        return Regions(painted)

    def _turns(self, masks: Masks) -> list[int]:
        """Return the masks' indices in the order of painting."""
        if self.order == "given":
            return list(range(len(masks.data)))
        by = masks.areas if self.order == "area" else masks.scores
        turns: list[int] = by.argsort(stable=True).tolist()
        return turns
