"""A small distilled DeiT with random numbers, by timm's names."""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path

import timm
import torch
from dino_twin import fill

WIDTH = 32
SHAPE = {"img_size": 64, "patch_size": 16, "embed_dim": WIDTH, "depth": 3, "num_heads": 2}


def small_deit() -> timm.models.deit.VisionTransformerDistilled:
    return fill(timm.models.deit.VisionTransformerDistilled(**SHAPE, num_classes=3))


@cache
def deit_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    torch.save({"model": small_deit().state_dict()}, Path(folder.name) / "deit.pth")
    (Path(folder.name) / "config.json").write_text(json.dumps({"num_attention_heads": 2}))
    return str(Path(folder.name) / "deit.pth")
