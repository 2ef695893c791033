"""Small parts of dino.txt, by the authors' names, with numbers that are the same on every machine;
written when they are first asked for.
"""

from __future__ import annotations

import atexit
import math
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from dino_twin import SHAPE

WIDTH, INSIDE, BLOCKS = SHAPE["hidden_size"], 128, 2
TEXT_WIDTH, ROWS, READS = 128, 49_408, 77
"""Two heads of 64 numbers; the tokens are those of CLIP."""
STEPS = 100
Shapes = dict[str, tuple[int, ...]]
DINO: Shapes = {
    "cls_token": (1, 1, WIDTH),
    "register_tokens": (1, 4, WIDTH),
    "mask_token": (1, WIDTH),
    "pos_embed": (1, 26, WIDTH),
    "patch_embed.proj.weight": (WIDTH, 3, 8, 8),
    "patch_embed.proj.bias": (WIDTH,),
    "norm.weight": (WIDTH,),
    "norm.bias": (WIDTH,),
}


def norms(stem: str, width: int, *names: str) -> Shapes:
    return {f"{stem}{name}.{part}": (width,) for name in names for part in ("weight", "bias")}


def linear(name: str, out: int, entering: int) -> Shapes:
    return {f"{name}.weight": (out, entering), f"{name}.bias": (out,)}


def dino_shapes() -> Shapes:
    """Return the shapes of a small DINOv2 with registers."""
    shapes = dict(DINO)
    for number in range(SHAPE["num_hidden_layers"]):
        stem = f"blocks.{number}."
        shapes |= norms(stem, WIDTH, "norm1", "norm2")
        shapes |= linear(f"{stem}attn.qkv", 3 * WIDTH, WIDTH)
        shapes |= linear(f"{stem}attn.proj", WIDTH, WIDTH)
        shapes |= linear(f"{stem}mlp.fc1", 4 * WIDTH, WIDTH)
        shapes |= linear(f"{stem}mlp.fc2", WIDTH, 4 * WIDTH)
        shapes |= {f"{stem}{name}.gamma": (WIDTH,) for name in ("ls1", "ls2")}
    return shapes


def head_shapes() -> Shapes:
    """Return the shapes of a small vision head."""
    shapes = norms("", WIDTH, "ln_final")
    for number in range(BLOCKS):
        stem = f"block_list.{number}."
        shapes |= norms(stem, WIDTH, "norm1", "norm2")
        shapes |= {f"{stem}attn.qkv.weight": (3 * WIDTH, WIDTH)}
        shapes |= linear(f"{stem}attn.proj", WIDTH, WIDTH)
        shapes |= linear(f"{stem}mlp.w1", INSIDE, WIDTH) | linear(f"{stem}mlp.w2", INSIDE, WIDTH)
        shapes |= linear(f"{stem}mlp.w3", WIDTH, INSIDE)
        shapes |= {f"{stem}{name}.gamma": (WIDTH,) for name in ("ls1", "ls2")}
    return shapes


def text_shapes() -> Shapes:
    """Return the shapes of a small text encoder."""
    shapes = {
        "backbone.token_embedding.weight": (ROWS, TEXT_WIDTH),
        "backbone.positional_embedding": (READS, TEXT_WIDTH),
        "head.linear_projection.weight": (2 * WIDTH, TEXT_WIDTH),
        **norms("backbone.", TEXT_WIDTH, "ln_final"),
    }
    for number in range(BLOCKS):
        stem = f"backbone.blocks.{number}."
        shapes |= norms(stem, TEXT_WIDTH, "attention_norm", "ffn_norm")
        shapes |= {f"{stem}attention.qkv.weight": (3 * TEXT_WIDTH, TEXT_WIDTH)}
        shapes |= linear(f"{stem}attention.proj", TEXT_WIDTH, TEXT_WIDTH)
        shapes |= linear(f"{stem}feed_forward.fc1", 4 * TEXT_WIDTH, TEXT_WIDTH)
        shapes |= linear(f"{stem}feed_forward.fc2", TEXT_WIDTH, 4 * TEXT_WIDTH)
    return shapes


def draw(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """Return tensors of whole steps, divided by what enters; norms and scales are around 1."""
    generator, found = torch.Generator().manual_seed(seed), {}
    for name, shape in shapes.items():
        steps = torch.randint(-STEPS, STEPS + 1, shape, generator=generator).float() / STEPS
        if len(shape) == 1:
            is_scale = name.endswith(("weight", "gamma"))
            found[name] = 1 + steps / 4 if is_scale else steps / 4
        elif ("embed" in name and "proj" not in name) or "token" in name:
            found[name] = steps
        else:
            found[name] = steps * (2 / math.sqrt(math.prod(shape[1:])))
    return found


@cache
def dino_txt_twin() -> dict[str, str]:
    """Return the files of the small vision head and text encoder, by the backbone's fields."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    files = {}
    for seed, (name, shapes) in enumerate(
        {"vision_head": head_shapes(), "text_encoder": text_shapes()}.items()
    ):
        files[name] = str(Path(folder.name) / f"{name}.pth")
        torch.save(draw(shapes, seed), files[name])
    return files
