"""A small C-RADIO with random numbers and heads into two spaces, as NVIDIA's checkpoint has it,
written when it is first asked for.
"""

from __future__ import annotations

import atexit
import re
import tempfile
from argparse import Namespace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from dino_twin import fill

SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "mlp_ratio": 2.0,
    "patch_size": 8,
    "max_img_size": 48,
    "num_cls_tokens": 2,
    "num_registers": 3,
    "summary_idxs": [0, 1],
}
"""A table of 6 x 6 positions, smaller and wider than other images' grids."""
TEACHERS = ("clip", "siglip2-g")
NAMES = (
    (r"^embeddings\.patch_projection\.", "base_model.patch_generator.embedder."),
    (r"^embeddings\.position_embedding$", "base_model.patch_generator.pos_embed"),
    (r"^embeddings\.cls_register_token$", "base_model.patch_generator.cls_token.token"),
    (r"^encoder\.layer\.", "base_model.blocks."),
    (r"\.attention\.o_proj\.", ".attn.proj."),
)
"""From transformers' names to NVIDIA's, one after the other."""


def small_radio() -> Any:
    """Return the network of transformers."""
    network = fill(transformers.RadioModel(transformers.RadioConfig(**SHAPE)))
    for name, tensor in network.state_dict().items():
        if "layer_scale" in name or name.endswith("norm_std"):
            tensor.fill_(1)
    return network


def small_head(width: int, leaving: int, seed: int) -> dict[str, torch.Tensor]:
    """Return the tensors of a head with one inner step."""
    inner = 24
    shapes = {
        "fc1.weight": (inner, width),
        "fc1.bias": (inner,),
        "blocks.0.0.weight": (inner,),
        "blocks.0.0.bias": (inner,),
        "blocks.0.2.weight": (inner, inner),
        "blocks.0.2.bias": (inner,),
        "final.0.weight": (inner,),
        "final.0.bias": (inner,),
        "final.2.weight": (leaving, inner),
        "final.2.bias": (leaving,),
    }
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.3 * torch.randn(size, generator=generator) for name, size in shapes.items()}


def published_names(network: Any) -> dict[str, torch.Tensor]:
    """Return a network's tensors by the names of NVIDIA's checkpoint, without the layers' scales,
    which are 1.
    """
    found, state = {}, network.state_dict()
    for name, tensor in state.items():
        if "layer_scale" in name or name == "summary_idxs" or ".attention.k_" in name:
            continue
        if ".attention.v_" in name:
            continue
        if ".attention.q_proj." in name:
            parts = [state[name.replace("q_proj", f"{one}_proj")] for one in "qkv"]
            name, tensor = name.replace(".attention.q_proj.", ".attn.qkv."), torch.cat(parts)
        for old, new in NAMES:
            name = re.sub(old, new, name)
        found[name] = tensor
    return found


def checkpoint() -> dict[str, Any]:
    """Return what NVIDIA's file holds of the small network."""
    state = published_names(small_radio())
    for number, _ in enumerate(TEACHERS):
        head = small_head(SHAPE["hidden_size"], 16, number)
        state |= {f"_heads.{number}.{name}": one for name, one in head.items()}
        state[f"_feature_projections.{number}.fc1.weight"] = torch.zeros(4, 4)
    teachers = [{"name": name, "type": "open_clip"} for name in TEACHERS]
    return {"state_dict": state, "args": Namespace(teachers=teachers, dtype=torch.float32)}


@cache
def radio_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "radio_half.pth.tar"
    torch.save(checkpoint(), file)
    return str(file)
