"""Mix the attention of several blocks into that of the last."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Attention


class MergeLayers(Stage, writes="self_attention"):
    """Mix the last block's attention with the mean of the earlier blocks; keep a lone block.

    Source: ITACLIP, released code (blocks 7, 8 and 10 into 12, half and half).

    Example:
        [[stage]]
        use = "merge_layers"
        weight = 0.5
    """

    weight: Annotated[
        float,
        Field(ge=0, le=1, description="weight of the last block; the others' mean gets the rest"),
    ] = 0.5

    def run(self, self_attention: Attention) -> Attention:
        """Return the attention of the last block alone."""
        *_, last = self_attention.layers
        own, earlier = self_attention.data[-1:], self_attention.data[:-1]
        if len(earlier):
            own = self.weight * own + (1 - self.weight) * torch.mean(earlier, 0, keepdim=True)
        return Attention(own, (last,), self_attention.grid)
