"""Enlarge maps to the size of the image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import S, Stage
from ovsskit.engine.values import Image

Align = Annotated[
    Literal["corners", "edges"],
    Field(
        description=(
            "what coincides: the middles of maps' and image's corner pixels, or their edges "
            "(torch's align_corners)"
        )
    ),
]


class Upsample(Stage, writes="scores"):
    """Resize maps bilinearly to the image's size.

    Maps of an image whose longer side exceeds `longer_side` stop there, so that the memory of what
    follows is bounded (one map of 2048 x 1536 pixels is 12.6 MB); `label_map` brings the labels to
    the image's size.
    Source: PnP-OVSS, released code (corners); IFSeg and most others, released code (edges).

    Example:
        [[stage]]
        use = "upsample"
        longer_side = 1024
    """

    longer_side: Annotated[
        int, Field(ge=1, description="greatest longer side of the maps, in pixels")
    ] = 2048
    align: Align = "corners"

    def run(self, scores: S, image: Image) -> S:
        """Return the maps at one value per pixel, or per pixel of the reduced image."""
        scale = min(1.0, self.longer_side / max(image.size))
        size = [max(1, round(side * scale)) for side in image.size]
        resized = torch.nn.functional.interpolate(
            scores.data[None], size, mode="bilinear", align_corners=self.align == "corners"
        )
        return scores.with_data(resized[0])
