"""Embed images as DINO's vision transformers do.

Tokens are `image token width`: the class token, the registers, then the patches row by row.
"""

from __future__ import annotations

from typing import Any, Literal

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import send_numbers

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, which all these models were trained with."""
Positions = Literal["original", "scale", "size", "size_antialias"]


def normalise(colours: Float[torch.Tensor, "3 h w"]) -> Float[torch.Tensor, "3 h w"]:
    """Return colours from 0 to 1 less ImageNet's mean, divided by its deviation."""
    middle, spread = (send_numbers(values, colours)[:, None, None] for values in (MEAN, DEVIATION))
    normalised: torch.Tensor = (colours - middle) / spread
    return normalised


def embed(
    network: Any, pixels: Float[torch.Tensor, "image 3 h w"], positions: Positions
) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
    """Return the first block's tokens, and the rows and columns of patches."""
    embeddings = network.embeddings
    projection = embeddings.patch_embeddings.projection
    patches = projection(pixels.to(projection.weight.dtype))
    grid = (patches.shape[2], patches.shape[3])
    registers = embeddings.register_tokens
    if positions == "original":
        positions = "size_antialias" if registers.shape[1] else "scale"
    places = place_embeddings(embeddings.position_embeddings[0], grid, positions)
    first = torch.cat([embeddings.cls_token + places[:1], registers], 1)
    patches = patches.flatten(2).transpose(1, 2) + places[1:]
    return torch.cat([first.expand(len(patches), -1, -1), patches], 1), grid


def leave(
    network: Any, pixels: Float[torch.Tensor, "image 3 h w"], positions: Positions
) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
    """Return what leaves the network, normalised, and the rows and columns of patches."""
    tokens, grid = embed(network, pixels, positions)
    for block in network.encoder.layer:
        tokens = block(tokens)
    return network.layernorm(tokens), grid


def place_embeddings(
    table: Float[torch.Tensor, "token width"],
    grid: tuple[int, int],
    how: Positions,
    others: int = 1,
) -> Float[torch.Tensor, "place width"]:
    """Return position embeddings for a grid, bicubic; unchanged on the square of the training.

    The first rows are those of `others`, which stand before the patches. `scale` samples the table
    at steps of `side / (grid + 0.1)`.
    """
    side = round((len(table) - others) ** 0.5)
    if grid == (side, side):
        return table
    planes = table[others:].float().T.unflatten(1, (side, side))[None]
    if how == "scale":
        scale = [(length + 0.1) / side for length in grid]
        resized = torch.nn.functional.interpolate(planes, scale_factor=scale, mode="bicubic")
    else:
        resized = torch.nn.functional.interpolate(
            planes, grid, mode="bicubic", antialias=how == "size_antialias"
        )
    return torch.cat([table[:others], resized[0].flatten(1).T.to(table.dtype)])


def without_registers(
    network: Any, tokens: Float[torch.Tensor, "image token width"]
) -> Float[torch.Tensor, "image place width"]:
    """Return the class token and the patches."""
    registers = network.embeddings.register_tokens.shape[1]
    return torch.cat([tokens[:, :1], tokens[:, 1 + registers :]], 1)
