"""A small vision transformer with a linear head and random numbers, as `distil` leaves one, written
when first asked for.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from ovsskit.backbones.vit._checkpoint import VitShape, build
from ovsskit.engine.examples import NAMES

SHAPE = {
    "trained_side": 32,
    "width": 16,
    "layers": 2,
    "heads": 2,
    "mlp_ratio": 2.0,
    "registers": 1,
    "norm_before": True,
    "layer_scale": True,
    "activation": "quick_gelu",
}


def write_vit(folder: Path, classes: Sequence[str], **shape: object) -> torch.nn.Module:
    """Write a network of these classes, and return it for evaluation."""
    folder.mkdir(exist_ok=True)
    configuration = VitShape.model_validate({**SHAPE, **shape})
    network: torch.nn.Module = build(configuration, len(classes))
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
    save_file(network.state_dict(), folder / "model.safetensors")
    named = {"id2label": dict(enumerate(classes)), **configuration.shape}
    (folder / "config.json").write_text(json.dumps(named))
    return network.eval()


@cache
def vit_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    write_vit(Path(folder.name), ("background", *NAMES))
    return folder.name
