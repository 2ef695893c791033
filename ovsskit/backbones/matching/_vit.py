"""Run BLIP's image encoder; its attention is not asked for, and goes through the fused function."""

from __future__ import annotations

from typing import Any

from ovsskit._lazy import Float, torch


def run_vit(
    encoder: Any, pixels: Float[torch.Tensor, "image 3 h w"]
) -> Float[torch.Tensor, "image key width"]:
    """Return the encoder's output, class token first.

    transformers computes the attention of all tokens to all as a map, and writes it to memory.
    """
    state = encoder.embeddings(pixels)
    for layer in encoder.encoder.layers:
        state = state + attend(layer.self_attn, layer.layer_norm1(state))
        state = state + layer.mlp(layer.layer_norm2(state))
    output: torch.Tensor = encoder.post_layernorm(state)
    return output


def attend(
    block: Any, tokens: Float[torch.Tensor, "image key width"]
) -> Float[torch.Tensor, "image key width"]:
    """Return what an attention block makes of tokens."""
    packed = block.qkv(tokens).unflatten(-1, (3, block.num_heads, -1))
    queries, keys, values = packed.permute(2, 0, 3, 1, 4)
    mixed = torch.nn.functional.scaled_dot_product_attention(
        queries, keys, values, scale=block.scale
    )
    projected: torch.Tensor = block.projection(mixed.transpose(1, 2).flatten(2))
    return projected
