"""Gather the values of patches with given weights: the first half of `attend`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Attention, Gathered, Hidden
from ovsskit.engine.values.features import on_grid
from ovsskit.stages.attention._layers import refuse_unkept


class GatherValues(Stage, writes="gathered"):
    """Sum what patches gather in the blocks of `self_attention`, joined over the heads.

    What follows in the block, and the projection, is for `project_patches`; what acts on patches
    inside the model stands between the two. If the attention is on another grid than the tokens,
    their values are resized to it bilinearly, and there are as many patches as there.
    Source: ProxyCLIP, whose attention is on the grid of another model, and SC-CLIP.

    Example:
        [[stage]]
        use = "gather_values"
        residual = false
    """

    residual: Annotated[
        bool, Field(description="start from the tokens that enter the block, not from 0")
    ] = False

    def run(self, hidden: Hidden, self_attention: Attention, backbone: EncodesPatches) -> Gathered:
        """Return one vector per patch of the attention's grid, as wide as the model's tokens.

        Raises:
            BadValue: what enters a block of the attention was not kept.
        """
        refuse_unkept(self.address, self_attention.layers, hidden)
        tokens = backbone.gather(hidden, self_attention, residual=self.residual).float()
        patches = tokens[self_attention.others :]
        return Gathered(on_grid(patches, self_attention.grid), self_attention.layers[-1])
