"""Compare patches with what classes look like."""

from __future__ import annotations

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Logits, PatchFeatures, Prototypes


class PrototypeSimilarity(Stage, writes="scores"):
    """Return the cosine of every patch's vector with the prototype of every class.

    Both come of the same model, which need not know any text. The maps stay on the grid of patches.
    Source: Shin et al. 2022, ReCo.

    Example:
        [[stage]]
        use = "prototype_similarity"
    """

    def run(self, patch_features: PatchFeatures, prototypes: Prototypes) -> Logits:
        """Return one map per class, over the patches."""
        unit = torch.nn.functional.normalize
        patches = unit(patch_features.data.float(), dim=0)
        maps = (unit(prototypes.data.float()) @ patches.flatten(1)).unflatten(1, patches.shape[1:])
        return Logits(maps, prototypes.labels)
