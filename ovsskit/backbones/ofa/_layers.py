"""Define OFA's transformer layers: attention with bias and head scales, and feed-forward."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention


class Attention(nn.Module):
    """Attend with several heads; positions come as a bias, and every head has a learned scale."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(width, width) for _ in range(4)
        )
        self.c_attn = nn.Parameter(torch.ones(heads))

    def forward(
        self,
        x: Float[Tensor, "b q d"],
        seen: Float[Tensor, "b k d"],
        bias: Float[Tensor, "#b heads q k"],
    ) -> Float[Tensor, "b q d"]:
        """Return what each of `x` finds in `seen`.

        The scale is smaller by the root of two than usual, because content and position scores are
        added.
        """
        queries, keys, values = (
            project(y).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project, y in ((self.q_proj, x), (self.k_proj, seen), (self.v_proj, seen))
        )
        found = attend(
            queries, keys, values, bias.to(queries.dtype), (2 * queries.shape[3]) ** -0.5
        )
        found = found * self.c_attn[:, None, None]
        out: Tensor = self.out_proj(found.transpose(1, 2).flatten(2))
        return out


def attend(
    queries: Float[Tensor, "b heads q w"],
    keys: Float[Tensor, "b heads k w"],
    values: Float[Tensor, "b heads k w"],
    bias: Float[Tensor, "#b heads q k"],
    scale: float,
) -> Float[Tensor, "b heads q w"]:
    """Return the mean of the values, weighted by the softmax of scaled products plus the bias.

    Torch's processor kernels keep the weights of all samples where the bias is trained; those of a
    GPU do not.
    """
    if bias.requires_grad and bias.device.type == "cpu" and bias.shape[0] == 1:
        apply: Any = _Attend.apply
        found: Tensor = apply(queries, keys, values, bias, scale)
        return found
    return scaled_dot_product_attention(queries, keys, values, bias, scale=scale)


class _Attend(torch.autograd.Function):
    """Attend without keeping weights: going back recomputes them, one sample at a time."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scale: float
    ) -> Tensor:
        """Return what is found."""
        # A bias that is trained keeps torch from its fast kernel.
        found = scaled_dot_product_attention(queries, keys, values, bias.detach(), scale=scale)
        ctx.save_for_backward(queries, keys, values, bias, found)
        ctx.scale = scale
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Return the gradients of queries, keys, values and bias."""
        bias = ctx.saved_tensors[3]
        of_bias = torch.zeros_like(bias[0])
        parts = []
        for query, key, value, found, back in zip(
            *(ctx.saved_tensors[i] for i in (0, 1, 2, 4)), gradient, strict=True
        ):
            weights = torch.baddbmm(bias[0], query, key.transpose(1, 2), alpha=ctx.scale).softmax(2)
            of_value = weights.transpose(1, 2) @ back
            of_score = weights.mul_(
                (back @ value.transpose(1, 2)).sub_((back * found).sum(2, keepdim=True))
            )
            of_bias += of_score
            parts.append(
                (of_score @ key * ctx.scale, of_score.transpose(1, 2) @ query * ctx.scale, of_value)
            )
        return *(torch.stack(tensors) for tensors in zip(*parts, strict=True)), of_bias[None], None


class Dropped(nn.Module):
    """Drop single numbers, and whole samples' branches; in evaluation mode do nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = self.branches = 0.0

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return the branch with parts at zero, the rest scaled up to make up for them."""
        x = nn.functional.dropout(x, self.numbers, self.training)
        if self.training and self.branches:
            kept = torch.rand(len(x), 1, 1, device=x.device) >= self.branches
            x = x * kept / (1 - self.branches)
        return x


class Layer(nn.Module):
    """Hold what encoder and decoder layers share.

    Every branch is normalised before and after (NormFormer).
    """

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm, self.final_layer_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ffn_layernorm = nn.LayerNorm(hidden)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropped = Dropped()

    def think(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return the tokens after the feed-forward net."""
        hidden = gelu(self.fc1(self.final_layer_norm(x)))
        found: Tensor = x + self.dropped(self.fc2(self.ffn_layernorm(hidden)))
        return found


class EncoderLayer(Layer):
    """Look at all tokens, then think about each."""

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__(width, hidden, heads)
        self.attn_ln = nn.LayerNorm(width)

    def forward(
        self, x: Float[Tensor, "b n d"], bias: Float[Tensor, "#b #heads n n"]
    ) -> Float[Tensor, "b n d"]:
        """Return the tokens after this layer."""
        normed = self.self_attn_layer_norm(x)
        return self.think(x + self.dropped(self.attn_ln(self.self_attn(normed, normed, bias))))


class DecoderLayer(Layer):
    """Look at the decoder's tokens, at the encoder's, then think about each."""

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__(width, hidden, heads)
        self.encoder_attn = Attention(width, heads)
        self.self_attn_ln, self.encoder_attn_layer_norm, self.cross_attn_ln = (
            nn.LayerNorm(width) for _ in range(3)
        )

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        encoded: Float[Tensor, "b k d"],
        bias: Float[Tensor, "#b heads n n"],
        cross_bias: Float[Tensor, "#b heads n k"],
    ) -> Float[Tensor, "b n d"]:
        """Return the tokens after this layer."""
        normed = self.self_attn_layer_norm(x)
        x = x + self.dropped(self.self_attn_ln(self.self_attn(normed, normed, bias)))
        found = self.encoder_attn(self.encoder_attn_layer_norm(x), encoded, cross_bias)
        return self.think(x + self.dropped(self.cross_attn_ln(found)))
