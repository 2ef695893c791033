"""Bring what patches gathered into the space of texts: the second half of `attend`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Gathered, PatchFeatures
from ovsskit.engine.values.features import on_grid


class ProjectPatches(Stage, writes="patch_features"):
    """Normalise what patches gathered, and project it as the model does with its last tokens.

    Source: Radford et al. 2021, CLIP; the feed-forward part is dropped by ProxyCLIP and SC-CLIP.

    Example:
        [[stage]]
        use = "project_patches"
        feed_forward = false
    """

    feed_forward: Annotated[
        bool, Field(description="let the block's feed-forward part come first")
    ] = False

    def run(self, gathered: Gathered, backbone: EncodesPatches) -> PatchFeatures:
        """Return one vector per patch, not of unit length."""
        tokens = gathered.vectors
        if self.feed_forward:
            tokens = backbone.feed_forward(gathered.layer, tokens)
        projected = backbone.into_texts(backbone.normalise_tokens(tokens))
        return PatchFeatures(on_grid(projected.float(), gathered.grid))
