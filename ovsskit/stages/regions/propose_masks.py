"""Propose masks of what an image shows."""

from __future__ import annotations

from ovsskit.engine.model import ProposesMasks
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Masks


class ProposeMasks(Stage, writes="masks"):
    """Ask a model for masks of what an image shows, whatever it is.

    Which masks there are is up to the model: SLIC, SAM, SAM 2, Mask2Former or EoMT. The last two
    were trained with masks of classes, so that a recipe with them has supervised proposals.

    Example:
        [[stage]]
        use = "propose_masks"
        reads = { backbone = "masks" }
    """

    def run_batch(self, image: Batch[Image], backbone: ProposesMasks) -> Batch[Masks]:
        """Return the masks of every image, at its size."""
        return backbone.propose_masks(image)
