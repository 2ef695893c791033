"""A small CLIP whose parameter names are those of open_clip's `CLIP`."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class ClipSettings:
    """Sizes of both towers; the defaults are those of the shipped weights."""

    vocabulary: int
    image_size: int = 112
    patch_size: int = 8
    width: int = 128
    head_width: int = 32
    image_layers: int = 6
    text_layers: int = 2
    context: int = 48

    def open_clip(self) -> dict[str, Any]:
        """Describe the model the way open_clip configures it."""
        vision = {
            "image_size": self.image_size,
            "layers": self.image_layers,
            "width": self.width,
            "head_width": self.head_width,
            "patch_size": self.patch_size,
            "no_ln_pre": True,
        }
        text = {
            "context_length": self.context,
            "vocab_size": self.vocabulary,
            "width": self.width,
            "heads": self.width // self.head_width,
            "layers": self.text_layers,
            "hf_tokenizer_name": "ovsskit-embedded-clip",
        }
        return {"embed_dim": self.width, "vision_cfg": vision, "text_cfg": text}


class Attention(nn.Module):
    """Attend with one packed projection, as `nn.MultiheadAttention` stores it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def project(self, tokens: Float[Tensor, "b n d"]) -> list[Float[Tensor, "b heads n e"]]:
        """Project tokens to queries, keys and values."""
        packed = functional.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        return [
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in packed.chunk(3, -1)
        ]

    def forward(self, tokens: Float[Tensor, "b n d"], causal: bool) -> Float[Tensor, "b n d"]:
        """Attend from queries to keys."""
        query, key, value = self.project(tokens)
        return self.merge(_attend(query, key, causal) @ value)

    def self_self(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Attend from queries to queries and from keys to keys, and add both."""
        query, key, value = self.project(tokens)
        return self.merge((_attend(query, query) + _attend(key, key)) @ value)

    def merge(self, mixed: Float[Tensor, "b heads n e"]) -> Float[Tensor, "b n d"]:
        """Join the heads and project."""
        merged: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return merged


def _attend(
    query: Float[Tensor, "b heads n e"], key: Float[Tensor, "b heads n e"], causal: bool = False
) -> Float[Tensor, "b heads n n"]:
    """Compute attention openly: in bfloat16 on a CPU the fused kernel is four times slower."""
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    attention: Tensor = scores.softmax(-1)
    return attention


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        wide = nn.Linear(width, 4 * width)
        narrow = nn.Linear(4 * width, width)
        self.mlp = nn.Sequential(OrderedDict(c_fc=wide, gelu=nn.GELU(), c_proj=narrow))

    def forward(self, tokens: Float[Tensor, "b n d"], causal: bool) -> Float[Tensor, "b n d"]:
        """Add attention, then the feed-forward part."""
        attended: Tensor = tokens + self.attn(self.ln_1(tokens), causal)
        fed: Tensor = attended + self.mlp(self.ln_2(attended))
        return fed

    def dense(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Attend from patches to patches alike, with neither residual nor feed-forward part."""
        attended: Tensor = self.attn.self_self(self.ln_1(tokens))
        return attended


class Transformer(nn.Module):
    """A stack of blocks."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))

    @property
    def blocks(self) -> list[Block]:
        """List the blocks."""
        return [block for block in self.resblocks if isinstance(block, Block)]

    def forward(self, tokens: Float[Tensor, "b n d"], causal: bool) -> Float[Tensor, "b n d"]:
        """Run every block."""
        for block in self.blocks:
            tokens = block(tokens, causal)
        return tokens


@dataclass(frozen=True)
class Seen:
    """Hold the vision tower's output; the dense features leave out the last feed-forward part."""

    image: Float[Tensor, "b d"]
    dense: Float[Tensor, "b n d"]
    dense_with_residual: Float[Tensor, "b n d"]
    plain: Float[Tensor, "b n d"]


class VisionTower(nn.Module):
    """A plain vision transformer without a norm before its first block."""

    def __init__(self, settings: ClipSettings) -> None:
        super().__init__()
        width, patch = settings.width, settings.patch_size
        patches = (settings.image_size // patch) ** 2
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(patches + 1, width) * width**-0.5)
        self.transformer = Transformer(width, width // settings.head_width, settings.image_layers)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, width) * width**-0.5)

    def embed(
        self, pixels: Float[Tensor, "b 3 side side"], keep: Int[Tensor, "b kept"] | None
    ) -> Float[Tensor, "b n d"]:
        """Embed the kept patches, or all of them; equal to `conv1` but free for dropped ones."""
        size = self.conv1.kernel_size[0]
        squares = pixels.unfold(2, size, size).unfold(3, size, size)
        squares = squares.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        places = self.positional_embedding[1:].expand(len(pixels), -1, -1)
        if keep is not None:
            squares = squares.gather(1, keep[:, :, None].expand(-1, -1, squares.shape[-1]))
            places = places.gather(1, keep[:, :, None].expand(-1, -1, places.shape[-1]))
        return functional.linear(squares, self.conv1.weight.flatten(1)) + places

    def forward(
        self, pixels: Float[Tensor, "b 3 side side"], keep: Int[Tensor, "b kept"] | None = None
    ) -> Seen:
        """Encode images and kept patches, by q-q + k-k attention (dense) and unchanged (plain)."""
        patches = self.embed(pixels, keep)
        first = (self.class_embedding + self.positional_embedding[0]).expand(len(pixels), 1, -1)
        tokens = torch.cat([first, patches], 1)
        *blocks, last = self.transformer.blocks
        for block in blocks:
            tokens = block(tokens, causal=False)
        attended = last.dense(tokens)[:, 1:]
        ordinary = self.finish(last(tokens, causal=False))
        return Seen(
            ordinary[:, 0],
            self.finish(attended),
            self.finish(tokens[:, 1:] + attended),
            ordinary[:, 1:],
        )

    def finish(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Normalise and project the tokens after the last block."""
        projected: Tensor = self.ln_post(tokens) @ self.proj
        return projected


class TinyClip(nn.Module):
    """Both towers of CLIP."""

    def __init__(self, settings: ClipSettings) -> None:
        super().__init__()
        width = settings.width
        self.visual = VisionTower(settings)
        self.transformer = Transformer(width, width // settings.head_width, settings.text_layers)
        self.token_embedding = nn.Embedding(settings.vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.randn(settings.context, width) * 0.01)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, width) * width**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def encode_text(self, ids: Int[Tensor, "texts tokens"]) -> Float[Tensor, "texts d"]:
        """Read the text feature at the largest id, the end of the text."""
        tokens = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        tokens = self.ln_final(self.transformer(tokens, causal=True))
        features: Tensor = tokens[torch.arange(len(ids)), ids.argmax(-1)] @ self.text_projection
        return features
