"""A small SimZSS by its authors' names, with numbers that are the same on every machine; written
when it is first asked for.
"""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path

import torch
from dino_txt_twin import ROWS, Shapes, draw, linear, norms

WIDTH, BLOCKS, SIDE, PATCH, REGISTERS = 128, 2, 5, 14, 4
"""Two heads of 64 numbers, as in the texts; a table of 5 x 5 patches."""
TEXT_WIDTH, READS = 128, 77


def block_shapes(stem: str, width: int) -> Shapes:
    """Return the shapes of a block of timm's without layer scales."""
    shapes = norms(stem, width, "norm1", "norm2")
    shapes |= linear(f"{stem}attn.qkv", 3 * width, width)
    shapes |= linear(f"{stem}attn.proj", width, width)
    shapes |= linear(f"{stem}mlp.fc1", 4 * width, width)
    return shapes | linear(f"{stem}mlp.fc2", width, 4 * width)


def timm_shapes() -> Shapes:
    """Return the shapes of a small DINOv2 with registers by timm's names."""
    shapes: Shapes = {
        "cls_token": (1, 1, WIDTH),
        "reg_token": (1, REGISTERS, WIDTH),
        "pos_embed": (1, SIDE**2, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (WIDTH,),
        **norms("", WIDTH, "norm"),
    }
    for number in range(BLOCKS):
        stem = f"blocks.{number}."
        shapes |= block_shapes(stem, WIDTH)
        shapes |= {f"{stem}{name}.gamma": (WIDTH,) for name in ("ls1", "ls2")}
    return shapes


def simzss_shapes() -> Shapes:
    """Return the shapes of all that a small checkpoint holds."""
    shapes = {f"visual.vit.model.{name}": shape for name, shape in timm_shapes().items()}
    shapes |= block_shapes("visual.denoiser.", WIDTH)
    shapes |= {
        "visual.pos_embed": (1, SIDE**2, WIDTH),
        "text.token_embedding.weight": (ROWS, TEXT_WIDTH),
        "text.positional_embedding": (READS, TEXT_WIDTH),
        "text.text_projection": (TEXT_WIDTH, WIDTH),
        **norms("text.", TEXT_WIDTH, "ln_final"),
    }
    for number in range(BLOCKS):
        stem = f"text.transformer.resblocks.{number}."
        shapes |= norms(stem, TEXT_WIDTH, "ln_1", "ln_2")
        shapes |= {
            f"{stem}attn.in_proj_weight": (3 * TEXT_WIDTH, TEXT_WIDTH),
            f"{stem}attn.in_proj_bias": (3 * TEXT_WIDTH,),
        }
        shapes |= linear(f"{stem}attn.out_proj", TEXT_WIDTH, TEXT_WIDTH)
        shapes |= linear(f"{stem}mlp.c_fc", 4 * TEXT_WIDTH, TEXT_WIDTH)
        shapes |= linear(f"{stem}mlp.c_proj", TEXT_WIDTH, 4 * TEXT_WIDTH)
    shapes |= {
        "logit_scale": (),
        "logit_scale_local": (1,),
        "classification_weights_ema": (575, WIDTH),
        "beta_ema": (),
    }
    return shapes


@cache
def simzss_twin() -> str:
    """Return the file of the small checkpoint, named as by a training on several GPUs."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "simzss.pt"
    torch.save({f"module.{name}": one for name, one in draw(simzss_shapes(), 0).items()}, file)
    return str(file)
