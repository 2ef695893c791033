"""Random prompts for the small random CLIP, written when they are first asked for."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path

import torch
from clip_twin import SHAPE
from safetensors.torch import save_file

WIDTHS = {"visual": SHAPE["vision_cfg"]["width"], "text": SHAPE["text_cfg"]["width"]}


def random_prompts(**counts: int) -> dict[str, torch.Tensor]:
    """Return prompts by name; `visual_1=3` are three of the image encoder before block 1."""
    generator = torch.Generator().manual_seed(0)
    return {
        name.replace("_", "."): torch.randn(count, WIDTHS[name[:-2]], generator=generator)
        for name, count in counts.items()
    }


@cache
def prompts_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "prompts.safetensors"
    save_file(random_prompts(visual_1=3, visual_3=2, text_1=4, text_2=2), file)
    return str(file)
