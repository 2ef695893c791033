"""Write the small CLIPs of the recordings as open_clip keeps its models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ovsskit.backbones.clip._weights import build_network


def write_small_clip(
    folder: Path, facts: Mapping[str, Any], weights: Mapping[str, torch.Tensor]
) -> Path:
    """Write a tower of these facts and weights; its text encoder is empty."""
    patch, (side, _) = facts["patch"], facts["position_grid"]
    vision = {
        "image_size": patch * side,
        "layers": facts["blocks"],
        "width": facts["width"],
        "head_width": facts["width"] // facts["heads"],
        "patch_size": patch,
    }
    text = {"vocab_size": 8, "context_length": 8, "width": 64, "heads": 1, "layers": 1}
    config = {"embed_dim": facts["output"], "vision_cfg": vision, "text_cfg": text}
    config["quick_gelu"] = facts["activation"] == "quick_gelu"
    shapes = build_network(config, "fp32", device="meta").state_dict()
    state = {name: torch.zeros(tensor.shape) for name, tensor in shapes.items()}
    assert weights.keys() <= state.keys()
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    save_file(state | dict(weights), folder / "open_clip_model.safetensors")
    return folder


def unpacked(tensor: torch.Tensor) -> torch.Tensor:
    """Return weights as numbers: those of a byte count 256ths."""
    return tensor.float() / 256 if tensor.dtype == torch.int8 else tensor.float()


def block_shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a block of CLIP's transformers, by open_clip's names."""
    block: dict[str, tuple[int, ...]] = {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "mlp.c_fc.weight": (4 * width, width),
        "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width),
        "mlp.c_proj.bias": (width,),
    }
    return block | {f"ln_{n}.{part}": (width,) for n in "12" for part in ("weight", "bias")}
