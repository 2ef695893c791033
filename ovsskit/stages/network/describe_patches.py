"""Give every patch the vector that a model has for it."""

from __future__ import annotations

from ovsskit.engine.model import DescribesPatches
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, PatchFeatures


class DescribePatches(Stage, writes="patch_features"):
    """Return one vector for every patch, as the model hands it out.

    Those of `clip_dense` lie among the texts; those of `deit` are compared with prototypes.
    Source: Shin et al. 2022, ReCo.

    Example:
        [[stage]]
        use = "describe_patches"
    """

    def run_batch(self, image: Batch[Image], backbone: DescribesPatches) -> Batch[PatchFeatures]:
        """Return the vectors of every image, not normalised."""
        return backbone.describe_patches(image)
