"""Mix two attentions."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Attention
from ovsskit.errors import BadValue


class MixAttention(Stage, writes="self_attention"):
    """Mix into every block's attention another, in the mean over the other's blocks.

    Where one has a matrix for all heads, each head of the other is mixed with it. Source: SC-CLIP
    (half of a guide), ResCLIP (the attention of earlier blocks as trained, and twice of it all).

    Example:
        [[stage]]
        use = "mix_attention"
        reads = { other = "guided" }
        weight = 0.5
    """

    weight: Annotated[float, Field(ge=0, le=1, description="share of the other attention")] = 0.5
    scale: Annotated[
        float, Field(gt=0, description="factor of the mixture, whose rows sum to it then")
    ] = 1.0

    def run(self, self_attention: Attention, other: Attention) -> Attention:
        """Return the mixture, for the blocks of the first.

        Raises:
            BadValue: the two are of other tokens.
        """
        own, mixed = self_attention.data, torch.mean(other.data, 0, keepdim=True)
        if self_attention.grid != other.grid or own.shape[-1] != mixed.shape[-1]:
            (rows, columns), (more, wide) = self_attention.grid, other.grid
            raise BadValue(
                f"{self.address} mixes attention of {own.shape[-1]} tokens ({rows} x {columns} "
                f"patches) with that of {mixed.shape[-1]} ({more} x {wide}).",
                fix="Leave the class token out of both, or of neither: self_similarity.tokens.",
            )
        data = self.scale * ((1 - self.weight) * own + self.weight * mixed.to(own))
        return replace(self_attention, data=data)
