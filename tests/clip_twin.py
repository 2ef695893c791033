"""A small CLIP with random numbers, twelve blocks and CLIP's own tokenizer, written when it is
first asked for.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Attention, Hidden

SHAPE: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 12, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def write_clip(folder: Path, shape: dict[str, Any] = SHAPE) -> Path:
    """Write a network as open_clip does."""
    torch.manual_seed(0)
    network = open_clip.CLIP(**shape)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": shape}))
    save_file(
        {key: one.contiguous() for key, one in network.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return folder


@cache
def clip_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return str(write_clip(Path(folder.name)))


def as_trained(backbone: Clip, hidden: Hidden) -> torch.Tensor:
    """Return all tokens, finished with the last block as it was trained."""
    layer = backbone.block_count
    queries, keys, _ = backbone.project(hidden, layer)
    weights = (queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5).softmax(-1)[None]
    return backbone.finish_tokens(
        hidden, Attention(weights, (layer,), hidden.grid), residual=True, feed_forward=True
    )
