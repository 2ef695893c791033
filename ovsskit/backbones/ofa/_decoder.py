"""Decode patches one by one, as IFSeg does, to features to compare with words of classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovsskit.backbones.ofa._encoder import masked, tables
from ovsskit.backbones.ofa._layers import DecoderLayer, Dropped
from ovsskit.backbones.ofa._positions import (
    ORIGIN,
    Grid,
    absolute_bias,
    grid_bias,
    resized_bias,
    resized_rows,
    with_origin,
)
from ovsskit.backbones.ofa._shape import Shape


@dataclass(frozen=True)
class DecoderBiases:
    """Hold every layer's bias, later positions masked, and all layers' bias to encoder tokens."""

    layers: tuple[Float[Tensor, "heads n n"], ...]
    cross: Float[Tensor, "heads n k"]


class Decoder(nn.Module):
    """Decode a feature for every patch; parameters are named as in the released checkpoints.

    Its input is the start token and the encoded patches but the last, and no token sees those after
    it: what comes out at a patch follows from the patches before it, and from all that the encoder
    gives. The released code also computes the output after the last patch, and drops it.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, heads, layers = shape.width, shape.heads, range(shape.decoder_layers)
        self.shape = shape
        self.layernorm_embedding = nn.LayerNorm(width)
        self.embed_seg_positions = nn.Embedding(shape.patch_side**2 + 1, width)
        self.seg_pos_ln = nn.LayerNorm(width)
        self.self_pos_q_linear, self.self_pos_k_linear = (
            nn.Linear(width, width),
            nn.Linear(width, width),
        )
        self.cross_pos_q_linear, self.cross_pos_k_linear = (
            nn.Linear(width, width),
            nn.Linear(width, width),
        )
        table = (2 * shape.patch_side - 1) ** 2 + ORIGIN
        self.seg_rel_pos_table_list = nn.ModuleList(nn.Embedding(table, heads) for _ in layers)
        self.layers = nn.ModuleList(DecoderLayer(width, shape.hidden, heads) for _ in layers)
        self.layer_norm = nn.LayerNorm(width)
        self.dropped = Dropped()

    def biases(self, grid: Grid, encoded: Float[Tensor, "k d"]) -> DecoderBiases:
        """Return biases for a grid, given the encoder's positions."""
        heads, count = self.shape.heads, grid[0] * grid[1]
        rows = self.embed_seg_positions.weight
        positions = self.seg_pos_ln(torch.cat([rows[:1], resized_rows(rows[1:], grid)])[:count])
        absolute = absolute_bias(
            self.self_pos_q_linear, self.self_pos_k_linear, positions, positions, heads
        )
        later = torch.full(
            (count, count), -torch.inf, device=rows.device, dtype=absolute.dtype
        ).triu(1)
        layers = []
        for table in tables(self.seg_rel_pos_table_list):
            between = resized_bias(grid_bias(table, self.shape.patch_side), grid)
            layers.append(absolute + with_origin(between, table)[:, :count, :count] + later)
        return DecoderBiases(
            tuple(layers),
            absolute_bias(
                self.cross_pos_q_linear, self.cross_pos_k_linear, positions, encoded, heads
            ),
        )

    def forward(
        self,
        start: Float[Tensor, " d"],
        encoded: Float[Tensor, "b k d"],
        biases: DecoderBiases,
        padding: Float[Tensor, "b 1 1 k"] | None,
    ) -> Float[Tensor, "b n d"]:
        """Return a feature for every patch."""
        patches = biases.cross.shape[1]
        x = torch.cat([start.expand(len(encoded), 1, -1), encoded[:, : patches - 1]], 1)
        x = self.dropped(self.layernorm_embedding(x))
        for layer, bias in zip(self.layers, biases.layers, strict=True):
            x = layer(x, encoded, bias[None], masked(biases.cross, padding))
        found: Tensor = self.layer_norm(x)
        return found
