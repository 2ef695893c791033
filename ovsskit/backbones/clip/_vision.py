"""Run open_clip's vision transformer block by block, and give a block's queries, keys and values.

Tokens are `... token width`, the class token first, then the patches row by row. Heads are split
off the width.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from ovsskit._lazy import Bool, Float, torch

Positions = Literal["scale", "size", "size_antialias", "size_exact", "half", "half_always"]


HIDDEN = -1000.0
"""What is added to the score of a patch that a token shall not see, as in TagCLIP's code."""


class Projection(NamedTuple):
    """Hold the queries, keys and values of the tokens that enter a block."""

    queries: Float[torch.Tensor, "*batch head token depth"]
    keys: Float[torch.Tensor, "*batch head token depth"]
    values: Float[torch.Tensor, "*batch head token depth"]

    def of(self, index: int) -> Projection:
        """Return those of one image of a batch."""
        return Projection(self.queries[index], self.keys[index], self.values[index])


def has_plain_blocks(visual: Any) -> bool:
    """Tell whether an image encoder is the vision transformer that this module runs."""
    is_vit = hasattr(visual, "transformer") and hasattr(visual, "conv1") and visual.proj is not None
    plain = torch.nn.MultiheadAttention
    return (
        is_vit
        and visual.attn_pool is None
        and all(isinstance(block.attn, plain) for block in blocks_of(visual))
    )


def has_class_token(visual: Any) -> bool:
    """Tell whether this module runs the encoder, and the class token stands for a whole image."""
    return has_plain_blocks(visual) and visual.pool_type == "tok"


def blocks_of(visual: Any) -> list[Any]:
    """Return the blocks of a vision transformer, in order."""
    return list(visual.transformer.resblocks)


def embed(
    visual: Any, pixels: Float[torch.Tensor, "image 3 h w"], positions: Positions
) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
    """Return the first block's tokens, and the rows and columns of patches.

    Leftover pixels are dropped.
    """
    patches = visual.conv1(pixels.to(visual.conv1.weight.dtype))
    grid = (patches.shape[2], patches.shape[3])
    places = place_embeddings(visual.positional_embedding, visual.grid_size, grid, positions).to(
        patches
    )
    first = (visual.class_embedding.to(patches) + places[0]).expand(len(patches), 1, -1)
    return visual.ln_pre(
        torch.cat([first, patches.flatten(2).transpose(1, 2) + places[1:]], 1)
    ), grid


def place_embeddings(
    table: Float[torch.Tensor, "token width"],
    trained: tuple[int, int],
    grid: tuple[int, int],
    how: Positions,
) -> Float[torch.Tensor, "place width"]:
    """Return position embeddings for a grid; unchanged if it has the trained number of patches.

    `scale` samples the table at steps of `trained / (grid + 0.1)`, as DINO's and the dense CLIP
    methods' code does. `size_exact` is `size`, but leaves the table unchanged for the trained rows
    and columns alone, as TCL's code does. `half` resizes it bilinearly and rounds all of it to half
    precision, and `half_always` does so to the trained grid as well, as TagCLIP's and CLIP-ES's
    code do.
    """
    if how in ("half", "half_always"):
        return _rounded_places(table, trained, grid, is_always=how == "half_always")
    is_kept = grid[0] * grid[1] == trained[0] * trained[1]
    if grid == trained or (is_kept and how != "size_exact"):
        return table
    planes = table[1:].float().T.unflatten(1, trained)[None]
    if how == "scale":
        scale = [(side + 0.1) / before for side, before in zip(grid, trained, strict=True)]
        resized = torch.nn.functional.interpolate(
            planes, scale_factor=scale, mode="bicubic", align_corners=False
        )
    else:
        antialias = how == "size_antialias"
        resized = torch.nn.functional.interpolate(
            planes, grid, mode="bicubic", align_corners=False, antialias=antialias
        )
    return torch.cat([table[:1], resized[0].flatten(1).T.to(table.dtype)])


def _rounded_places(
    table: Float[torch.Tensor, "token width"],
    trained: tuple[int, int],
    grid: tuple[int, int],
    *,
    is_always: bool,
) -> Float[torch.Tensor, "place width"]:
    if grid == trained and not is_always:
        return table
    planes = table[1:].float().T.unflatten(1, trained)[None]
    resized = torch.nn.functional.interpolate(planes, grid, mode="bilinear")[0]
    return torch.cat([table[:1].float(), resized.flatten(1).T]).half().to(table.dtype)


def encode(
    visual: Any,
    pixels: Float[torch.Tensor, "image 3 h w"],
    positions: Positions = "size",
    skipped: int = 0,
    region: Bool[torch.Tensor, "image patch"] | None = None,
) -> Float[torch.Tensor, "image out"]:
    """Return a whole image's vector among the texts: its class token at the training size.

    The last block runs for that token alone, since the patches that leave it are not looked at: for
    a small model, a sixth of the time. As many blocks as are `skipped` at the end do not run.
    With a region, that token sees only its patches, in every block; the patches see all.
    """
    tokens, _ = embed(visual, pixels, positions)
    *blocks, last = blocks_of(visual)[: len(blocks_of(visual)) - skipped]
    mask = None if region is None else hide_from_class_token(tokens, region)
    for block in blocks:
        tokens = attend_as_trained(block, tokens, project(block, tokens), mask)
    queries, keys, values = project(last, tokens)
    first = Projection(queries[..., :1, :], keys, values)
    mask = mask if mask is None else mask[..., :1, :]
    return project_to_text(visual, attend_as_trained(last, tokens[:, :1], first, mask))[:, 0]


def hide_from_class_token(
    tokens: Float[torch.Tensor, "image token width"], region: Bool[torch.Tensor, "image patch"]
) -> Float[torch.Tensor, "image 1 token token"]:
    """Return what to add to the scores of attention, so that the first token sees a region only."""
    count = tokens.shape[1]
    mask = tokens.new_zeros(len(tokens), 1, count, count)
    mask[:, 0, 0, 1:] = torch.where(region, 0.0, HIDDEN)
    return mask


def project(block: Any, tokens: Float[torch.Tensor, "*batch token width"]) -> Projection:
    """Return the queries, keys and values of a block's input."""
    return project_channels(block, block.ln_1(tokens))


def project_channels(block: Any, channels: Float[torch.Tensor, "*batch token width"]) -> Projection:
    """Return the queries, keys and values of a block's input after its first normalisation."""
    attention = block.attn
    packed = torch.nn.functional.linear(channels, attention.in_proj_weight, attention.in_proj_bias)
    return Projection(
        *(
            part.unflatten(-1, (attention.num_heads, -1)).transpose(-3, -2)
            for part in packed.chunk(3, -1)
        )
    )


def attend_as_trained(
    block: Any,
    tokens: Float[torch.Tensor, "*batch token width"],
    projection: Projection,
    mask: Float[torch.Tensor, "image 1 query key"] | None = None,
) -> Any:
    """Return what a block makes of its input, by its own attention of queries to keys.

    The mask is added to the scores before the softmax.
    """
    return feed_forward(block, tokens + join_heads(block, gather(projection, mask)))


def gather(
    projection: Projection, mask: Float[torch.Tensor, "image 1 query key"] | None = None
) -> Float[torch.Tensor, "*batch head query depth"]:
    """Return what every head's queries gather of the values, by its attention.

    Without an axis of images torch makes the attention of all heads at once; with one, it makes
    parts of it, and never the whole.
    """
    is_alone = projection.queries.dim() == 3
    queries, keys, values = (one[None] if is_alone else one for one in projection)
    mixed: torch.Tensor = torch.nn.functional.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask
    )
    return mixed[0] if is_alone else mixed


def join_heads(
    block: Any, mixed: Float[torch.Tensor, "*batch head token depth"]
) -> Float[torch.Tensor, "*batch token width"]:
    """Project what the heads have gathered, as a block does before it adds that to its input."""
    joined: torch.Tensor = block.ls_1(block.attn.out_proj(mixed.transpose(-3, -2).flatten(-2)))
    return joined


def feed_forward(
    block: Any, tokens: Float[torch.Tensor, "*batch token width"]
) -> Float[torch.Tensor, "*batch token width"]:
    """Add a block's second half."""
    fed: torch.Tensor = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
    return fed


def project_to_text(
    visual: Any, tokens: Float[torch.Tensor, "*batch token width"]
) -> Float[torch.Tensor, "*batch token out"]:
    """Bring tokens after the last block into the space of texts."""
    projected: torch.Tensor = visual.ln_post(tokens) @ visual.proj
    return projected
