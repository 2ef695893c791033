"""Give the queries, keys and values of blocks whose attention has the parts of DINOv2."""

from __future__ import annotations

from typing import Any

from ovsskit._lazy import Float, torch


def project_tokens(
    block: Any, tokens: Float[torch.Tensor, "token width"], heads: int
) -> tuple[
    Float[torch.Tensor, "head token depth"],
    Float[torch.Tensor, "head token depth"],
    Float[torch.Tensor, "head token depth"],
]:
    """Return those of a block's input, before positions are turned into them."""
    attention, normalised = block.attention, block.norm1(tokens)
    queries, keys, values = (
        layer(normalised).unflatten(-1, (heads, -1)).transpose(0, 1)
        for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return queries, keys, values
