"""Turn how alike patches are into weights, those of unlike ones dropped."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import PatchSimilarity, PatchWeights


class SharpenAffinity(Stage, writes="patch_weights"):
    """Take the softmax of `scale` times what patches are more alike than the image's patches are.

    That is scale * (similarity - shift * mean), with the mean over all pairs of this image. What
    is negative then is dropped, or kept. A patch that is left with none looks at itself alone.
    Source: ProxyCLIP (shift 1.2, scale 3), whose released code takes the mean over the batch;
    SC-CLIP (shift 1, scale 3).

    Example:
        [[stage]]
        use = "sharpen_affinity"
        shift = 1.2
        scale = 3.0
    """

    shift: Annotated[float, Field(description="how many means are subtracted")] = 1.2
    scale: Annotated[float, Field(gt=0, description="factor before the softmax")] = 3.0
    negatives: Annotated[
        Literal["drop", "keep"],
        Field(description="patches less alike than that get no weight, or little"),
    ] = "drop"

    def run(self, patch_similarity: PatchSimilarity) -> PatchWeights:
        """Return weights that sum to 1 in each row."""
        data = patch_similarity.data
        there = data.isfinite()  # others were taken out of it
        mean = torch.where(there, data, 0.0).sum() / there.sum()
        sharp = self.scale * (data - self.shift * mean)
        if self.negatives == "drop":
            dropped = sharp < 0
            alone = dropped.all(1)
            dropped.diagonal().logical_and_(~alone)
            sharp = sharp.masked_fill(dropped, -torch.inf)
        return PatchWeights(sharp.softmax(1), patch_similarity.grid)
