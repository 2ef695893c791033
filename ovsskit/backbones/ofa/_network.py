"""Map images, or words in their place, and a text to logits of classes for every patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ovsskit.backbones.ofa._decoder import Decoder, DecoderBiases
from ovsskit.backbones.ofa._encoder import Encoder, EncoderBiases, padding_mask
from ovsskit.backbones.ofa._positions import Grid
from ovsskit.backbones.ofa._shape import Shape
from ovsskit.engine.sending import pick

START = 0
"""The id of the token that a text begins with."""
NEW_DEVIATION = 0.02
"""Parameters that an OFA does not have and IFSeg adds begin as normal numbers of this deviation."""


@dataclass(frozen=True)
class Biases:
    """Hold all that follows from the grid and the length of the text alone."""

    encoder: EncoderBiases
    decoder: DecoderBiases


class OfaNetwork(nn.Module):
    """Join encoder and decoder; classes are compared by the mean embedding of their words."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder, self.decoder = Encoder(shape), Decoder(shape)

    def biases(self, grid: Grid, length: int) -> Biases:
        """Return the biases for a grid and the length of a text."""
        encoder = self.encoder.biases(grid, length)
        return Biases(encoder, self.decoder.biases(grid, encoder.positions))

    def words(self, pieces: Sequence[Sequence[int]]) -> Float[Tensor, "word d"]:
        """Return for every word the mean of the embeddings of its pieces."""
        table = self.encoder.embed_tokens.weight
        return torch.stack([pick(table, one).mean(0) for one in pieces])

    def forward(
        self, tokens: Float[Tensor, "b n d"], ids: Int[Tensor, "b t"], biases: Biases
    ) -> Float[Tensor, "b n d"]:
        """Return a feature for every image token, to be compared with words."""
        padding = padding_mask(ids, tokens.shape[1])
        encoded = self.encoder(self.encoder.embed(tokens, ids), biases.encoder, padding)
        found: Tensor = self.decoder(
            self.encoder.embed_tokens.weight[START], encoded, biases.decoder, padding
        )
        return found


def begin_decoder(decoder: Decoder, seed: int) -> None:
    """Fill what IFSeg adds to an OFA with small random numbers, always the same for one seed."""
    generator = torch.Generator().manual_seed(seed)
    for table in (decoder.embed_seg_positions, *decoder.seg_rel_pos_table_list):
        nn.init.normal_(table.weight, std=NEW_DEVIATION, generator=generator)
