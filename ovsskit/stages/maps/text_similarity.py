"""Compare patches with texts."""

from __future__ import annotations

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Logits, PatchFeatures, TextFeatures


class TextSimilarity(Stage, writes="scores"):
    """Multiply every patch's vector, made unit length, with those of all texts.

    With texts of unit length these are cosines; texts that were mixed are shorter, and are left so.
    The maps stay on the grid of patches. Source: Zhou et al. 2022, MaskCLIP; mixed texts: ITACLIP,
    released code.

    Example:
        [[stage]]
        use = "text_similarity"
    """

    def run(self, patch_features: PatchFeatures, text_features: TextFeatures) -> Logits:
        """Return one map per text, over the patches."""
        unit = torch.nn.functional.normalize(patch_features.data.float(), dim=0)
        maps = (text_features.data.float() @ unit.flatten(1)).unflatten(1, unit.shape[1:])
        return Logits(maps, text_features.labels)
