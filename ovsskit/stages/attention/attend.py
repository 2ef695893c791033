"""Gather the values of patches with given weights, and bring them into the space of texts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Attention, Hidden, PatchFeatures
from ovsskit.stages.attention._layers import refuse_unkept


class Attend(Stage, writes="patch_features"):
    """Sum what tokens gather in the blocks of `self_attention`, and project it as the model does.

    With attention of several blocks a second path runs beside the model's own: it starts from what
    enters the first of them (if `residual`) and takes in what each gathers. `gather_values` and
    `project_patches` are its two halves, between which other stages can stand. Source: the residual
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
        """Return one vector per patch of the attention's grid, not normalised.

        Raises:
            BadValue: what enters a block of the attention was not kept.
        """
        refuse_unkept(self.address, self_attention.layers, hidden)
        return backbone.finish(
            hidden, self_attention, residual=self.residual, feed_forward=self.feed_forward
        )
