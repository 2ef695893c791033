"""A small DeepLab with random numbers, as `distil` leaves one, written when first asked for."""

from __future__ import annotations

import atexit
import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from ovsskit.backbones.deeplab._checkpoint import DeepLabShape, build
from ovsskit.engine.examples import NAMES

SHAPE = {
    "block": "basic",
    "depths": [1, 1, 1, 1],
    "widths": [8, 8, 16, 16],
    "stem_width": 4,
    "head_width": 12,
    "dilations": [1, 2],
}


def write_deeplab(folder: Path, classes: Sequence[str], **shape: object) -> torch.nn.Module:
    """Write a network of these classes, and return it for evaluation."""
    configuration = DeepLabShape.model_validate({**SHAPE, **shape})
    network: torch.nn.Module = build(configuration, len(classes))
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.3)
    save_file(network.state_dict(), folder / "model.safetensors")
    named = {"id2label": dict(enumerate(classes)), **configuration.shape}
    (folder / "config.json").write_text(json.dumps(named))
    return network.eval()


@cache
def deeplab_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    write_deeplab(Path(folder.name), ("background", *NAMES))
    return folder.name
