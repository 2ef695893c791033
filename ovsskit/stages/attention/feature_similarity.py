"""Compare patches with each other by any features."""

from __future__ import annotations

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Features, PatchSimilarity


class FeatureSimilarity(Stage, writes="patch_similarity"):
    """Return the cosine of every two patches, on the grid of the features.

    Source: ProxyCLIP, by the features of another model; SC-CLIP, by those of a middle layer.

    Example:
        [[stage]]
        use = "feature_similarity"
    """

    def run(self, guide_features: Features) -> PatchSimilarity:
        """Return one matrix; features of length 0 are like nothing."""
        unit = torch.nn.functional.normalize(guide_features.vectors.float(), dim=1)
        return PatchSimilarity(unit @ unit.T, guide_features.grid)
