"""Make nodes of a graph of patches."""

from __future__ import annotations

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import GuideFeatures, Image, Logits, Nodes, Tile


class PatchNodes(Stage, writes="nodes"):
    """Put the scores of patches beside what a guide says of them, with where they lie.

    Nodes are the guide's patches; on another grid the scores are resized bilinearly. Source: LPOSS
    (CVPR 2025), released code, which resizes the features that the scores are made of.

    Example:
        [[stage]]
        use = "patch_nodes"
    """

    def run(self, image: Image, scores: Logits, guide_features: GuideFeatures) -> Nodes:
        """Return one node for every patch of the guide, in a single tile."""
        maps, (height, width) = scores.data.float(), image.size
        if maps.shape[1:] != guide_features.grid:
            maps = torch.nn.functional.interpolate(
                maps[None], guide_features.grid, mode="bilinear"
            )[0]
        vectors, box = guide_features.vectors.float(), (0, height, 0, width)
        tiles = (Tile(guide_features.grid, box, box),)
        return Nodes(maps.flatten(1), vectors, scores.labels, tiles, image.size)
