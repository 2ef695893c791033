"""Weigh what the words look at by how much it speaks for the match."""

from __future__ import annotations

from typing import Annotated

from ovsskit.engine.model import CrossAttends
from ovsskit.engine.stage import Demand, Stage, use_of
from ovsskit.engine.values import CrossAttention, TokenMaps


class GradCam(Stage, writes="token_maps"):
    """Multiply attention by its positive gradient, summed over the layers and heads that are left.

    The first token and the image's class token are dropped, and padding is zero.
    Source: Selvaraju et al. 2017 (Grad-CAM); on cross-attention as in PnP-OVSS, released code.

    Example:
        [[stage]]
        use = "grad_cam"
    """

    def run(self, attention: Annotated[CrossAttention, Demand(without_gradient)]) -> TokenMaps:
        """Return one map per token over the patches, 0 or more."""
        return attention.maps(attention.probability * attention.gradient.clamp(min=0))


def without_gradient(model: CrossAttends, layer: int) -> tuple[str, str] | None:
    """Say why classes get no gradient from a layer, so that maps are zero, and which give one."""
    useful, count = model.layers_with_gradient(), model.known_layer_count()
    if useful is None or layer in useful:
        return None
    name, reason = use_of(type(model)), f"has {count} layers with cross-attention"
    if layer == count:
        reason = "reads only the first token, so words of classes get no gradient there"
        return f"after the last layer `{name}` {reason}", f"1 to {useful[-1]}"
    return f"`{name}` {reason}", f"1 to {useful[-1]}"
