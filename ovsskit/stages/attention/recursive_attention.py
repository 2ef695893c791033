"""Let tokens look at those that have gathered alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Attention, Hidden
from ovsskit.stages.attention._layers import refuse_unkept


class RecursiveAttention(Stage, writes="self_attention"):
    """Compare tokens by what they gather in a block, and take the softmax of how alike that is.

    What tokens gather by `self_attention` is projected as the block does it, split into as many
    parts as the block has heads, and each part is made unit length. The softmax goes over `scale`
    times the cosines; those below 0 are left out. All tokens that take part do, class tokens and
    registers too.
    Source: RADSeg (arXiv 2511.19704, self-correlating recursive attention), released code (10).

    Example:
        [[stage]]
        use = "recursive_attention"
        scale = 10.0
    """

    scale: Annotated[float, Field(gt=0, description="factor of the cosines before the softmax")] = (
        10.0
    )

    def run(self, self_attention: Attention, hidden: Hidden, backbone: EncodesPatches) -> Attention:
        """Return a matrix for every block and head.

        Raises:
            BadValue: what enters a block of the attention was not kept.
        """
        refuse_unkept(self.address, self_attention.layers, hidden)
        found = []
        for layer, weights in zip(self_attention.layers, self_attention.data, strict=True):
            heads = len(backbone.project(hidden, layer)[2])
            own = replace(self_attention, data=weights[None], layers=(layer,))
            gathered = backbone.gather(hidden, own, residual=False).float()
            parts = gathered.unflatten(1, (heads, -1)).transpose(0, 1)
            unit = torch.nn.functional.normalize(parts, dim=-1)
            alike = self.scale * (unit @ unit.transpose(1, 2))
            found.append(alike.masked_fill(alike < 0, -torch.inf).softmax(-1))
        return replace(self_attention, data=torch.stack(found))
