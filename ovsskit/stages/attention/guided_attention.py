"""Let patches look at each other in a block by weights that come from elsewhere."""

from __future__ import annotations

from typing import Annotated

from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Attention, Hidden, PatchWeights
from ovsskit.stages.attention._layers import Layer, layers_in


class GuidedAttention(Stage, writes="self_attention"):
    """Take weights of patches as what they look at in a block, the same for all heads.

    The class token takes no part. The grid is that of the weights: `gather_values` and `attend`
    bring the values to it. Source: ProxyCLIP, which replaces the last block's attention so.

    Example:
        [[stage]]
        use = "guided_attention"
        layer = -1
    """

    layer: Layer = -1

    def run(
        self,
        patch_weights: PatchWeights,
        hidden: Annotated[Hidden, TakesLayers("layer")],
        backbone: EncodesTokens,
    ) -> Attention:
        """Return one matrix for all heads of the block.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        layers = layers_in(self.address, (self.layer,), hidden, backbone)
        return Attention(patch_weights.data[None, None], layers, patch_weights.grid)
