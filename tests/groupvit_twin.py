"""A small GroupViT with random numbers and the vocabulary of CLIP, as the hub has it, written when
it is first asked for.
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
from dino_twin import fill
from safetensors.torch import save_file

SHAPE: dict[str, Any] = {
    "projection_dim": 16,
    "projection_intermediate_dim": 24,
    "vision_config": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "depths": [2, 1, 1],
        "num_hidden_layers": 4,
        "num_group_tokens": [6, 3, 0],
        "num_output_groups": [6, 3, 0],
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
        "hidden_act": "gelu",
    },
    "text_config": {
        "vocab_size": 49408,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
    },
}


def small_network() -> Any:
    network = fill(transformers.GroupViTModel(transformers.GroupViTConfig(**SHAPE)))
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
    network.logit_scale.data.fill_(3.0)
    return network


def write_groupvit(folder: Path) -> Any:
    """Write a network as the hub has it, and return it."""
    network = small_network()
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: one.contiguous() for name, one in network.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    heads = {part: {"num_attention_heads": 2} for part in ("vision_config", "text_config")}
    (folder / "config.json").write_text(json.dumps(heads))
    return network


@cache
def groupvit_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    with torch.random.fork_rng():
        write_groupvit(Path(folder.name))
    return folder.name
