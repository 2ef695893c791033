"""Ask a model that was trained to ground texts for vectors on a finer grid."""

from __future__ import annotations

from ovsskit.engine.model import GroundsText
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Hidden, PatchFeatures


class GroundPatches(Stage, writes="patch_features"):
    """Return what the model's grounder makes of the tokens that enter the last block.

    The vectors lie on a finer grid than the patches, in the space of the texts; cosines with these
    become confidences by `learned_sigmoid`.
    Source: Cha et al. 2023, TCL: the grounder has a last block of its own, and enlarges what leaves
    it by gated convolutions.

    Example:
        [[stage]]
        use = "ground_patches"
    """

    def run_batch(self, hidden: Batch[Hidden], backbone: GroundsText) -> Batch[PatchFeatures]:
        """Return one vector per place of the finer grid."""
        return [backbone.ground(one) for one in hidden]
