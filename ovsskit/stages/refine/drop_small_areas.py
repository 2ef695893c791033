"""Drop classes that win only a small part of the image."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.sending import send_places
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences


class DropSmallAreas(Stage, writes="scores"):
    """Set the maps of classes to zero whose share of the foreground is not above a fraction.

    The share is counted in pixels where the class has the highest score, among those where any
    class but the background has. The background is never dropped, and does not count. Source:
    ITACLIP, released code (VOC21: 0.1).

    Example:
        [[stage]]
        use = "drop_small_areas"
        fraction = 0.05
    """

    waits: ClassVar[str] = "which maps are dropped is decided by counts of pixels"

    fraction: Annotated[
        float, Field(ge=0, le=1, description="share of the foreground that a class must exceed")
    ] = 0.1

    def run(self, scores: Confidences) -> Confidences:
        """Return the maps, those of small classes zero."""
        best = scores.data.argmax(0)
        counts = torch.bincount(best.flatten(), minlength=len(scores.labels)).tolist()
        foreground = sum(count for count, label in zip(counts, scores.labels, strict=True) if label)
        dropped = [
            index
            for index, (count, label) in enumerate(zip(counts, scores.labels, strict=True))
            if label and count <= self.fraction * foreground
        ]
        return (
            scores.with_data(scores.data.index_fill(0, send_places(dropped, best.device), 0))
            if dropped
            else scores
        )
