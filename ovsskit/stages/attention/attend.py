"""Gather the values of patches with given weights, and bring them into the space of texts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Attention, Hidden, PatchFeatures
from ovsskit.errors import BadValue


class Attend(Stage, writes="patch_features"):
    """Sum what tokens gather in the blocks of `self_attention`, and project it as the model does.

    With attention of several blocks a second path runs beside the model's own: it starts from what
    enters the first of them (if `residual`) and takes in what each gathers. Source: the residual
    and the feed-forward part are kept by CLIP, SCLIP and MaskCLIP and dropped by ClearCLIP and
    NACLIP; ITACLIP and GEM keep the residual only.

    Example:
        [[stage]]
        use = "attend"
        residual = true
        feed_forward = false
    """

    residual: Annotated[
        bool, Field(description="start from the tokens that enter the block, not from 0")
    ] = True
    feed_forward: Annotated[
        bool, Field(description="let the last block's feed-forward part follow")
    ] = True

    def run(
        self, hidden: Hidden, self_attention: Attention, backbone: EncodesPatches
    ) -> PatchFeatures:
        """Return one vector per patch, not normalised.

        Raises:
            BadValue: what enters a block of the attention was not kept.
        """
        missing = ", ".join(
            str(layer) for layer in self_attention.layers if layer not in hidden.layers
        )
        if missing:
            held = ", ".join(map(str, hidden.layers))
            raise BadValue(
                f"{self.address} reads attention of block {missing}; the tokens of block "
                f"{held} were kept only."
            )
        return backbone.finish(
            hidden, self_attention, residual=self.residual, feed_forward=self.feed_forward
        )
