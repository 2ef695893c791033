"""Let patches look at their own region alone."""

from __future__ import annotations

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import PatchSimilarity, Regions, Uncovered


class RegionScope(Stage, writes="patch_similarity"):
    """Take out of a similarity what lies in another region, so that weights of it are 0.

    Patches in no region, and others with them, keep what is more alike than the mean of all pairs.
    Every patch keeps itself.
    Source: Zhang et al. 2025, CorrCLIP, released code: patches of the lowest number of a window are
    taken for those in no region, whichever number it is.

    Example:
        [[stage]]
        use = "region_scope"
        uncovered = "lowest"
    """

    uncovered: Uncovered = "zero"

    def run(self, patch_similarity: PatchSimilarity, regions: Regions) -> PatchSimilarity:
        """Return the similarity, minus infinity where a patch shall not look."""
        numbers = regions.resized(patch_similarity.grid).data.flatten()
        outside = numbers == regions.uncovered(self.uncovered)
        data = patch_similarity.data
        keep = (numbers[:, None] == numbers) & ~outside[:, None]
        keep |= (outside[:, None] | outside) & (data > data.mean())
        keep.fill_diagonal_(True)
        return PatchSimilarity(data.masked_fill(~keep, -torch.inf), patch_similarity.grid)
