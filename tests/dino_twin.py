"""A small DINOv2 with registers and random numbers, as the hub has it, written when it is first
asked for.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 40,
    "patch_size": 8,
}
"""A table of 5 x 5 patches, smaller and wider than other images' grids."""


def fill(network: Any, seed: int = 0) -> Any:
    """Give every tensor random numbers, and return the network for evaluation."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in network.state_dict().values():
        tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    return network.eval()


@cache
def dino_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    config = transformers.Dinov2WithRegistersConfig(**SHAPE, mlp_ratio=2)
    network = fill(transformers.Dinov2WithRegistersModel(config))
    save_file(network.state_dict(), Path(folder.name) / "model.safetensors")
    (Path(folder.name) / "config.json").write_text(json.dumps({"num_attention_heads": 2}))
    return folder.name


@cache
def decoder_twin() -> str:
    """Return the file of a decoder for the keys of the small DINO."""
    generator = torch.Generator().manual_seed(1)
    width = SHAPE["hidden_size"]
    tensors = {
        "decoder.weight": torch.randn(1, width, 1, 1, generator=generator),
        "decoder.bias": torch.randn(1, generator=generator),
    }
    file = Path(dino_twin()).parent / f"{Path(dino_twin()).name}_decoder.safetensors"
    save_file(tensors, file)
    atexit.register(file.unlink)
    return str(file)


@cache
def projection_twin() -> str:
    """Return the file of Talk2DINO's projection, from texts of the small CLIP to the small DINO."""
    generator, width, texts = torch.Generator().manual_seed(2), SHAPE["hidden_size"], 16
    shapes = {
        "linear_layer.weight": (width, texts),
        "linear_layer.bias": (width,),
        "hidden_layers.0.weight": (width, width),
        "hidden_layers.0.bias": (width,),
    }
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    file = Path(dino_twin()).parent / f"{Path(dino_twin()).name}_projection.safetensors"
    save_file(tensors, file)
    atexit.register(file.unlink)
    return str(file)


@cache
def dinov3_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    config = transformers.DINOv3ViTConfig(**SHAPE, intermediate_size=64, num_register_tokens=2)
    network = fill(transformers.DINOv3ViTModel(config))
    chatter = transformers.utils.logging
    chatter.disable_progress_bar()
    network.save_pretrained(folder.name)
    chatter.enable_progress_bar()
    return folder.name
