"""Show where the words look, whatever it is good for."""

from __future__ import annotations

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import CrossAttention, TokenMaps


class AttentionMaps(Stage, writes="token_maps"):
    """Take the attention without its gradient, summed over the layers and heads that are left.

    To compare with `grad_cam`, whose place it takes.

    Example:
        [[stage]]
        use = "attention_maps"
    """

    def run(self, attention: CrossAttention) -> TokenMaps:
        """Return one map per token over the patches, 0 to 1 for each layer and head."""
        return attention.maps(attention.probability)
