"""Run the network's trunk: what do patches look like, before any word was read?"""

from __future__ import annotations

from ovsskit.engine.model import DecodesPatches
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, PatchFeatures


class TrunkFeatures(Stage, writes="features"):
    """Return the features of the patch trunk, not projected.

    By them `knn_smoothing` finds patches that look alike. An image that was decoded is not run
    again. Source: IFSeg, released code.

    Example:
        [[stage]]
        use = "trunk_features"
    """

    def run_batch(self, image: Batch[Image], backbone: DecodesPatches) -> Batch[PatchFeatures]:
        """Return one vector for every patch."""
        return backbone.trunk_features(image)
