"""Define the tiny OFA: the published classes and code path with small numbers, and its words."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from ovsskit.backbones.ofa._network import OfaNetwork, begin_decoder
from ovsskit.backbones.ofa._shape import Shape
from ovsskit.backbones.ofa._text import PROMPT, UNKNOWN_NAME, gpt2_ids
from ovsskit.embedded.names import CLASSES

SIDE: Final = 12
"""Rows of patches of a square image; 192 pixels."""
POSITIONS: Final = 130
"""Tokens of a text, and two that are never used, as in the published models."""
SPECIAL: Final = 4


def words() -> list[int]:
    """List GPT-2's numbers of all word pieces of the tiny OFA, in its dictionary's order."""
    texts = [PROMPT, *CLASSES, UNKNOWN_NAME]
    return sorted({piece for text in texts for piece in gpt2_ids(text)})


def tiny_shape() -> Shape:
    """Return the shape of the tiny OFA."""
    return Shape(
        width=128,
        hidden=256,
        heads=4,
        encoder_layers=2,
        decoder_layers=1,
        trunk_width=16,
        trunk_blocks=(2, 2, 3),
        rows=SPECIAL + len(words()),
        positions=POSITIONS,
        image_side=SIDE,
        patch_side=SIDE,
        trained_side=SIDE,
    )


def begin_ofa(seed: int) -> OfaNetwork:
    """Make a tiny OFA of random numbers: small ones as BERT's, and large ones for words.

    Adam's first steps are about as long as words of length 1 are; `train_ofa` brings them to that
    length at its end.
    """
    torch.manual_seed(seed)
    network = OfaNetwork(tiny_shape())
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    nn.init.normal_(network.encoder.embed_tokens.weight)
    begin_decoder(network.decoder, seed)
    return network


def class_pieces(names: Sequence[str] = CLASSES) -> list[list[int]]:
    """Return the rows of the tiny OFA's embeddings that each name is made of."""
    row = {piece: index + SPECIAL for index, piece in enumerate(words())}
    return [[row[piece] for piece in gpt2_ids(name)] for name in names]
