"""A small SegFormer with random numbers, as the hub has it, written when it is first asked for."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
import transformers

from ovsskit.engine.examples import NAMES

SHAPE = {
    "hidden_sizes": [8, 16, 16, 32],
    "depths": [1, 1, 2, 1],
    "num_attention_heads": [1, 2, 2, 4],
    "decoder_hidden_size": 16,
}


def write_segformer(folder: Path, classes: Sequence[str]) -> transformers.PreTrainedModel:
    """Write a network of these classes as transformers does, and return it for evaluation."""
    config = transformers.SegformerConfig(**SHAPE, id2label=dict(enumerate(classes)))
    network = transformers.SegformerForSemanticSegmentation(config)
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.3)
    network.save_pretrained(folder)
    return network.eval()


@cache
def segformer_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    write_segformer(Path(folder.name), ("background", *NAMES))
    return folder.name
