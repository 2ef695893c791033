"""Weigh what the words look at by how much it speaks for the match."""

from __future__ import annotations

from ovsskit.stage import Stage
from ovsskit.values import CrossAttention, TokenMaps


class GradCam(Stage, writes="token_maps"):
    """Multiply attention by its positive gradient, summed over the layers and heads that are left.

    The first token and the image's class token are dropped, and padding is zero.
    Source: Selvaraju et al. 2017 (Grad-CAM); on cross-attention as in PnP-OVSS, released code.
    """

    def run(self, attention: CrossAttention) -> TokenMaps:
        """Return one map per token over the patches, 0 or more."""
        return attention.maps(attention.probability * attention.gradient.clamp(min=0))
