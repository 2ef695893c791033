"""Run timm's vision transformer with an attention pool, as open_clip has SigLIP, block by block.

Tokens are `... token width`: registers if there are any, then the patches row by row.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import has_marks
from ovsskit.errors import BadWeights

FIX = (
    "Use a SigLIP or SigLIP 2 of open_clip, such as ViT-B-16-SigLIP2 with webli; CLIP: use `clip`."
)


def recognise(names: Collection[str]) -> str:
    """Return SigLIP's name if tensors of such names are one of it, else an empty text."""
    marks = (r"^visual\.trunk\.attn_pool\.kv\.", r"^visual\.trunk\.blocks\.\d+\.attn\.qkv\.")
    return "SigLIP" if has_marks(names, marks) else ""


def trunk_of(visual: Any) -> Any:
    """Return the vision transformer inside an image encoder.

    Raises:
        BadWeights: its blocks cannot be run apart, or no pool brings single patches among texts.
    """
    trunk, kind = getattr(visual, "trunk", None), type(visual).__name__
    if trunk is None or not hasattr(trunk, "blocks"):
        raise BadWeights(f"The image encoder is a {kind}, not one of timm's transformers.", fix=FIX)
    if getattr(trunk, "rope", None) is not None:
        what = "The image encoder turns positions into queries and keys inside its blocks (as PE)."
        raise BadWeights(what, there="So the attention of patches cannot be replaced.", fix=FIX)
    if not hasattr(getattr(trunk, "attn_pool", None), "kv"):
        what = "The image encoder has no attention pool that maps patches into the space of texts."
        raise BadWeights(what, fix=FIX)
    if not all(hasattr(getattr(block, "attn", None), "qkv") for block in trunk.blocks):
        what = "The blocks of the image encoder do not keep queries, keys and values in one matrix."
        raise BadWeights(what, fix=FIX)
    return trunk


def patch_of(trunk: Any) -> int:
    """Return the side of a patch, in pixels."""
    side: int = trunk.patch_embed.patch_size[0]
    return side


def embed(
    trunk: Any, pixels: Float[torch.Tensor, "image 3 h w"]
) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
    """Return the first block's tokens, and the rows and columns of patches.

    Leftover pixels are dropped; positions are resized bicubically with antialiasing, as timm does.
    """
    projection = trunk.patch_embed.proj
    patches = projection(pixels.to(projection.weight.dtype))
    grid = (patches.shape[2], patches.shape[3])
    table, count = trunk.pos_embed, 0 if trunk.no_embed_class else trunk.num_prefix_tokens
    places = table[:, count:]
    if grid != tuple(trunk.patch_embed.grid_size):
        planes = places.float().transpose(1, 2).unflatten(2, trunk.patch_embed.grid_size)
        resized = torch.nn.functional.interpolate(planes, grid, mode="bicubic", antialias=True)
        places = resized.flatten(2).transpose(1, 2).to(table.dtype)
    first = [one for one in (trunk.cls_token, trunk.reg_token) if one is not None]
    tokens = patches.flatten(2).transpose(1, 2) + places
    if first:
        prefix = torch.cat(first, 1) + (table[:, :count] if count else 0)
        tokens = torch.cat([prefix.expand(len(tokens), -1, -1), tokens], 1)
    return trunk.norm_pre(tokens), grid


def project(
    block: Any, tokens: Float[torch.Tensor, "token width"]
) -> tuple[
    Float[torch.Tensor, "head token depth"],
    Float[torch.Tensor, "head token depth"],
    Float[torch.Tensor, "head token depth"],
]:
    """Return the queries, keys and values of a block's input."""
    attention = block.attn
    packed = attention.qkv(block.norm1(tokens)).unflatten(-1, (3, attention.num_heads, -1))
    queries, keys, values = packed.permute(1, 2, 0, 3)
    return attention.q_norm(queries), attention.k_norm(keys), values


def join_heads(
    block: Any, vectors: Float[torch.Tensor, "head token depth"]
) -> Float[torch.Tensor, "token width"]:
    """Project what the heads have gathered, as a block does before it adds that to its input."""
    joined = vectors.transpose(0, 1).flatten(1)
    found: torch.Tensor = block.ls1(block.attn.proj(block.attn.norm(joined)))
    return found


def pool_alone(
    visual: Any, trunk: Any, tokens: Float[torch.Tensor, "token width"]
) -> Float[torch.Tensor, "token out"]:
    """Return what the attention pool makes of every token, if it saw no other."""
    pool = trunk.attn_pool
    _, values = pool.kv(tokens).chunk(2, -1)
    found = pool.proj(values)
    if pool.mlp is not None:
        found = found + pool.mlp(pool.norm(found))
    brought: torch.Tensor = visual.head(trunk.head(trunk.fc_norm(found)))
    return brought
