"""Bring what a guide says to the grid of another model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import GuideFeatures, Image


class ResizeFeatures(Stage, writes="guide_features"):
    """Resize a guide's features bilinearly to patches of this many pixels of the image.

    So a guide that sees an image once, at its own size, serves windows of another model, whose
    edges lie between patches; read the image at the size at which windows see it. Where a side is
    no multiple of the patch, patches are a little larger.
    Source: CorrCLIP v2, released code (a grid twice as fine as CLIP's).

    Example:
        [[stage]]
        use = "resize_features"
        reads = { image = "resized" }
        patch = 8
    """

    patch: Annotated[int, Field(ge=1, description="side of a patch of the new grid, in pixels")] = 8

    def run(self, guide_features: GuideFeatures, image: Image) -> GuideFeatures:
        """Return the features on the new grid, of whole patches alone."""
        grid = [max(1, side // self.patch) for side in image.size]
        data = guide_features.data.float()[None]
        resized = torch.nn.functional.interpolate(data, grid, mode="bilinear")
        return GuideFeatures(resized[0])
