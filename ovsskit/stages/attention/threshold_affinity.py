"""Turn how alike patches are into weights by a threshold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import PatchSimilarity, PatchWeights

EPSILON = 1e-6


class ThresholdAffinity(Stage, writes="patch_weights"):
    """Weigh patches by how alike they are, those below a threshold by nothing.

    Source: SC-CLIP, with 0.4; what is divided by is larger by 1e-6.

    Example:
        [[stage]]
        use = "threshold_affinity"
        at = 0.4
    """

    at: Annotated[float, Field(ge=0, le=1, description="least similarity that counts")] = 0.4

    def run(self, patch_similarity: PatchSimilarity) -> PatchWeights:
        """Return weights that sum to 1 in each row, to 0 where nothing is alike enough."""
        alike = torch.where(patch_similarity.data >= self.at, patch_similarity.data, 0.0)
        weights = alike / (alike.sum(1, keepdim=True) + EPSILON)
        return PatchWeights(weights, patch_similarity.grid)
