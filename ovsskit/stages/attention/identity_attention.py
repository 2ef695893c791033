"""Let every token look at itself alone."""

from __future__ import annotations

from typing import Annotated

from ovsskit._lazy import torch
from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Attention, Hidden
from ovsskit.stages.attention._layers import Layers, layers_in


class IdentityAttention(Stage, writes="self_attention"):
    """Give every token the weight 1 in itself and 0 in all others: patches keep their own values.

    Source: MaskCLIP, which drops the last block's queries and keys.

    Example:
        [[stage]]
        use = "identity_attention"
        layers = [-1]
    """

    layers: Layers = (-1,)

    def run(
        self, hidden: Annotated[Hidden, TakesLayers("layers")], backbone: EncodesTokens
    ) -> Attention:
        """Return one matrix for all heads of each block.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        layers = layers_in(self.address, self.layers, hidden, backbone)
        one = torch.eye(hidden.data.shape[1], dtype=hidden.data.dtype, device=hidden.data.device)
        return Attention(one.expand(len(layers), 1, -1, -1), layers, hidden.grid)
