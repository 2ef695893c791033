"""OFA's encoder: patches and words in one sequence, related by content and by position."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ovsskit.backbones.ofa._layers import Dropped, EncoderLayer
from ovsskit.backbones.ofa._positions import (
    ORIGIN,
    Grid,
    absolute_bias,
    cell_rows,
    grid_bias,
    resized_bias,
    resized_rows,
    text_bias,
)
from ovsskit.backbones.ofa._shape import TEXT_TABLE, Shape
from ovsskit.backbones.ofa._trunk import Trunk

PADDING = 1
"""The id of padding; what comes after the end of a text."""
TEXT, IMAGE = 0, 1


@dataclass(frozen=True)
class EncoderBiases:
    """Hold a grid's positions of patches and words, normalised, and every layer's bias.

    They are the same for all images of the grid.
    """

    positions: Float[Tensor, "n d"]
    layers: tuple[Float[Tensor, "heads n n"], ...]


class Encoder(nn.Module):
    """Encode patches, then words; the names of parameters are those of the released checkpoints."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, heads, layers = shape.width, shape.heads, range(shape.encoder_layers)
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.rows, width)
        self.embed_images = Trunk(shape.trunk_width, shape.trunk_blocks)
        self.image_proj = nn.Linear(shape.channels, width)
        self.type_embedding = nn.Embedding(2, width)
        self.layernorm_embedding, self.patch_layernorm_embedding = (
            nn.LayerNorm(width),
            nn.LayerNorm(width),
        )
        self.embed_positions = nn.Embedding(shape.positions, width)
        self.embed_image_positions = nn.Embedding(shape.image_side**2 + 1, width)
        self.pos_ln, self.image_pos_ln = nn.LayerNorm(width), nn.LayerNorm(width)
        self.pos_q_linear, self.pos_k_linear = nn.Linear(width, width), nn.Linear(width, width)
        image_table = (2 * shape.image_side - 1) ** 2 + ORIGIN
        self.token_rel_pos_table_list = nn.ModuleList(
            nn.Embedding(TEXT_TABLE, heads) for _ in layers
        )
        self.image_rel_pos_table_list = nn.ModuleList(
            nn.Embedding(image_table, heads) for _ in layers
        )
        self.layers = nn.ModuleList(EncoderLayer(width, shape.hidden, heads) for _ in layers)
        self.layer_norm = nn.LayerNorm(width)
        self.dropped = Dropped()

    def biases(self, grid: Grid, length: int) -> EncoderBiases:
        """Return positions and biases for a grid of patches followed by a text of this length."""
        shape, count = self.shape, grid[0] * grid[1]
        cells = self.embed_image_positions(
            cell_rows(grid, shape.image_side, shape.trained_side).to(self.device)
        )
        cells = cells if len(cells) == count else resized_rows(cells, grid)
        words = self.embed_positions.weight[:length]
        positions = torch.cat([self.image_pos_ln(cells), self.pos_ln(words)])
        absolute = absolute_bias(
            self.pos_q_linear, self.pos_k_linear, positions, positions, shape.heads
        )
        layers = []
        for image_table, text_table in zip(
            *map(tables, (self.image_rel_pos_table_list, self.token_rel_pos_table_list)),
            strict=True,
        ):
            image = resized_bias(grid_bias(image_table, shape.trained_side), grid)
            blocks = torch.nn.functional.pad(image, (0, length, 0, length))
            blocks[:, count:, count:] = text_bias(text_table, length)
            layers.append(absolute + blocks)
        return EncoderBiases(positions, tuple(layers))

    def patches(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b channels rows cols"]:
        """Return the trunk's features of normalised images."""
        found: Tensor = self.embed_images(pixels)
        return found

    def project(self, features: Float[Tensor, "b channels rows cols"]) -> Float[Tensor, "b n d"]:
        """Return the trunk's features as tokens, row by row."""
        found: Tensor = self.image_proj(features.flatten(2).transpose(1, 2))
        return found

    def embed(
        self, tokens: Float[Tensor, "b n d"], ids: Int[Tensor, "b t"]
    ) -> Float[Tensor, "b n+t d"]:
        """Return the first layer's input sequence: image tokens, then words; padding is zero."""
        kinds = self.type_embedding.weight
        image = self.dropped(self.patch_layernorm_embedding(tokens + kinds[IMAGE]))
        text = self.dropped(self.layernorm_embedding(self.embed_tokens(ids) + kinds[TEXT]))
        return torch.cat([image, text * (ids != PADDING)[..., None]], 1)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        biases: EncoderBiases,
        padding: Float[Tensor, "b 1 1 n"] | None,
    ) -> Float[Tensor, "b n d"]:
        """Return the encoded sequence."""
        for layer, bias in zip(self.layers, biases.layers, strict=True):
            x = layer(x, masked(bias, padding))
        found: Tensor = self.layer_norm(x)
        return found

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""
        return self.embed_tokens.weight.device


def tables(layers: nn.ModuleList) -> list[Tensor]:
    """Return the numbers of every layer's table."""
    return [layer.weight for layer in layers if isinstance(layer, nn.Embedding)]


def padding_mask(ids: Int[Tensor, "b t"], patches: int) -> Float[Tensor, "b 1 1 n"] | None:
    """Return what keeps all from attending to padding, or None where there is none."""
    padded: Bool[Tensor, "b t"] = ids == PADDING
    if not padded.any():
        return None
    mask = torch.zeros(len(ids), 1, 1, patches + ids.shape[1], device=ids.device)
    return mask.masked_fill(
        torch.nn.functional.pad(padded, (patches, 0))[:, None, None], -torch.inf
    )


def masked(
    bias: Float[Tensor, "heads q k"], padding: Float[Tensor, "b 1 1 k"] | None
) -> Float[Tensor, "#b heads q k"]:
    """Return a bias for a batch, padding masked."""
    return bias[None] if padding is None else bias + padding
