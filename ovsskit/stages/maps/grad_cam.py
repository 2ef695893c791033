"""Weigh what the words look at by how much it speaks for the match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ovsskit.engine.model import CrossAttends
from ovsskit.engine.stage import Stage, use_of
from ovsskit.engine.values import CrossAttention, TokenMaps


class GradCam(Stage, writes="token_maps"):
    """Multiply attention by its positive gradient, summed over the layers and heads that are left.

    The first token and the image's class token are dropped, and padding is zero.
    Source: Selvaraju et al. 2017 (Grad-CAM); on cross-attention as in PnP-OVSS, released code.
    """

    def objections(
        self, ahead: Sequence[tuple[Stage, Sequence[Any]]]
    ) -> Iterator[tuple[str, str, str, str]]:
        """Object to layers from which no class gets a gradient: all maps would be zero."""
        models = [
            model for _, models in ahead for model in models if isinstance(model, CrossAttends)
        ]
        picks = [stage for stage, _ in ahead if hasattr(stage, "layer")]
        useful = models[-1].layers_with_gradient() if models else None
        if useful is None or not picks or picks[-1].layer in useful:
            return
        name, layer, count = (
            use_of(type(models[-1])),
            picks[-1].layer,
            models[-1].known_layer_count(),
        )
        reason = f"`{name}` has {count} layers with cross-attention"
        if layer == count:
            reason = f"after the last layer `{name}` reads only the first token, so words of classes get no gradient there"
        what = f"{picks[-1].address}.layer is {layer}, and {reason}."
        yield (
            picks[-1].address,
            "layer",
            what,
            f"Layers that {self.address} can take: 1 to {useful[-1]}",
        )

    def run(self, attention: CrossAttention) -> TokenMaps:
        """Return one map per token over the patches, 0 or more."""
        return attention.maps(attention.probability * attention.gradient.clamp(min=0))
