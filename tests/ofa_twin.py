"""A small OFA with random numbers and the published dictionary, written when it is
first asked for.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from ovsskit.backbones.ofa._network import OfaNetwork
from ovsskit.backbones.ofa._shape import Shape
from ovsskit.backbones.ofa._text import FIRST, gpt2_ids

PUBLISHED_ROWS = 59457


def small_shape(rows: int = PUBLISHED_ROWS, positions: int = 1026) -> Shape:
    return Shape(
        16, 32, 2, 2, 2, 2, (1, 2, 1), rows, positions, image_side=4, patch_side=4, trained_side=4
    )


def random_network(shape: Shape, seed: int = 0) -> OfaNetwork:
    torch.manual_seed(seed)
    network = OfaNetwork(shape).eval()
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    return network


def write_ofa(folder: Path, network: OfaNetwork, words: Sequence[str] = ()) -> Path:
    """Write a network, with a dictionary of the words if there are any, else for the
    published one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if words:
        pieces = sorted({piece for word in words for piece in gpt2_ids(word)})
        (folder / "dict.txt").write_text("".join(f"{piece} 1\n" for piece in pieces))
    save_file(
        {key: one.contiguous() for key, one in network.state_dict().items()},
        folder / "model.safetensors",
    )
    return folder


def rows_for(words: Sequence[str]) -> int:
    return FIRST + len({piece for word in words for piece in gpt2_ids(word)})


@cache
def ofa_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return str(write_ofa(Path(folder.name), random_network(small_shape())))
