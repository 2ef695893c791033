"""Say what patches look at inside an image encoder."""

from __future__ import annotations

from typing import Annotated

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Hidden
from ovsskit.engine.values import PatchAttention as Kind
from ovsskit.stages.attention._layers import Layers, layers_in


class PatchAttention(Stage, writes="patch_attention"):
    """Return with what weight patches take in each other, as trained, in the mean over the heads.

    Heads are added up one after the other, so that a block takes the memory of one of them: at 512
    x 512 pixels and 12 blocks of patches of 16 pixels that is 50 MB, and 600 MB with all heads.
    Source: CLIP-ES and TagCLIP, released code (linyq2117/TagCLIP c32b640).

    Example:
        [[stage]]
        use = "patch_attention"
        layers = [9, 10, 11]
    """

    layers: Layers = (-1,)

    def run(
        self, hidden: Annotated[Hidden, TakesLayers("layers")], backbone: EncodesTokens
    ) -> Kind:
        """Return one matrix per block.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        layers = layers_in(self.address, self.layers, hidden, backbone)
        patches = hidden.grid[0] * hidden.grid[1]
        data = torch.empty(len(layers), patches, patches, device=hidden.data.device)
        for target, layer in zip(data, layers, strict=True):
            queries, keys, _ = backbone.project(hidden, layer)
            target.copy_(mean_over_heads(queries.float(), keys.float(), hidden.others))
        return Kind(data, layers, hidden.grid, backbone.block_count)


def mean_over_heads(
    queries: Float[torch.Tensor, "head token depth"],
    keys: Float[torch.Tensor, "head token depth"],
    others: int,
) -> Float[torch.Tensor, "patch patch"]:
    """Return the mean of the heads' attention from patches to patches; `others` are left out.

    These first tokens, such as the class token, take their share of what a patch looks at.
    """
    count, tokens, depth = queries.shape
    total = queries.new_zeros(tokens - others, tokens - others)
    for query, key in zip(queries[:, others:], keys, strict=True):
        total += (query * depth**-0.5 @ key.T).softmax(-1)[:, others:]
    return total / count
