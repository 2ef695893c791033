"""A small SigLIP with random numbers, as open_clip has it, written when it is first asked for.

Its image encoder is a transformer of timm for tests, with a register and an attention pool.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from dino_twin import fill
from safetensors.torch import save_file

from ovsskit._lazy import open_clip

SHAPE: dict[str, Any] = {
    "embed_dim": 64,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 160,
        "timm_model_name": "test_vit2",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
    },
}


def write_siglip(folder: Path, **vision: Any) -> Any:
    """Write a network as open_clip does, and return it."""
    shape = {**SHAPE, "vision_cfg": {**SHAPE["vision_cfg"], **vision}}
    network = fill(
        open_clip.CustomTextCLIP(**{key: one for key, one in shape.items() if key != "custom_text"})
    )
    for name, tensor in network.state_dict().items():
        tensor.mul_(0.5 if tensor.dim() > 1 else 1.0)
        if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
            tensor.add_(torch.ones_like(tensor))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": shape}))
    state = {name: one.contiguous() for name, one in network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return network


@cache
def siglip_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    write_siglip(Path(folder.name))
    return folder.name
