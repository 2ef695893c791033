"""The shape of an OFA: widths, block counts and table sizes, all read off the weights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TRAINED_SIDE = 32
"""Rows of patches of the images that every published model was tuned on: 512 pixels."""
TEXT_TABLE = 511


@dataclass(frozen=True)
class Shape:
    """Say how wide and deep a network is.

    `rows` are the words it has embeddings for, `positions` the tokens of a text it has positions
    for. `image_side` and `patch_side` are the sides of the square tables of positions of encoder
    and decoder, `trained_side` that of the grid whose relative positions are stretched to others.
    """

    width: int
    hidden: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    trunk_width: int
    trunk_blocks: tuple[int, int, int]
    rows: int
    positions: int
    image_side: int
    patch_side: int = TRAINED_SIDE
    trained_side: int = TRAINED_SIDE

    @property
    def channels(self) -> int:
        """Return the number of features that the trunk gives for every patch."""
        return 16 * self.trunk_width


def shape_of(state: Mapping[str, Any]) -> Shape:
    """Read the shape off the weights, under their official names.

    Raises:
        KeyError: the weights lack what every OFA has.
    """
    rows, width = state["encoder.embed_tokens.weight"].shape
    seg = state.get("decoder.embed_seg_positions.weight")
    image_side = math.isqrt(len(state["encoder.embed_image_positions.weight"]) - 1)
    patch_side = TRAINED_SIDE if seg is None else math.isqrt(len(seg) - 1)
    blocks = [
        _count(state, rf"encoder\.embed_images\.layer{number}\.(\d+)\.") for number in (1, 2, 3)
    ]
    return Shape(
        width=width,
        hidden=state["encoder.layers.0.fc1.weight"].shape[0],
        heads=len(state["encoder.layers.0.self_attn.c_attn"]),
        encoder_layers=_count(state, r"encoder\.layers\.(\d+)\."),
        decoder_layers=_count(state, r"decoder\.layers\.(\d+)\."),
        trunk_width=len(state["encoder.embed_images.conv1.weight"]),
        trunk_blocks=(blocks[0], blocks[1], blocks[2]),
        rows=rows,
        positions=len(state["encoder.embed_positions.weight"]),
        image_side=image_side,
        patch_side=patch_side,
        trained_side=min(TRAINED_SIDE, image_side),
    )


def _count(state: Mapping[str, Any], pattern: str) -> int:
    return len({found[1] for key in state if (found := re.match(pattern, key))})
