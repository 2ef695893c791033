"""Know the tensors of DINO and DINOv2 by the names that checkpoints give them."""

from __future__ import annotations

import re
from collections.abc import Collection

from ovsskit.backbones._checkpoint import has_marks

NAME = "DINO"
PATCHES = "embeddings.patch_embeddings.projection.weight"
POSITIONS = "embeddings.position_embeddings"
REGISTERS = "embeddings.register_tokens"
TIMMS_REGISTERS = "reg_token"
"""Where timm has registers, its table of positions has no place for the class token."""
BLOCK = r"^encoder\.layer\.(\d+)\."
RENAMES = (
    # what some trainings put before names
    (r"^((teacher|backbone|module|vit|dinov2|dinov2_with_registers)\.)+", ""),
    # the authors' names
    (r"^(cls_token|register_tokens|mask_token)$", r"embeddings.\1"),
    (r"^dist_token$", REGISTERS),
    (r"^norm\.", "layernorm."),
    (r"^pos_embed$", POSITIONS),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.ls(\d)\.gamma$", r".layer_scale\1.lambda1"),
    # timm's name, where it is another
    (rf"^{TIMMS_REGISTERS}$", REGISTERS),
    # the hub's names
    (r"^layers\.", "encoder.layer."),
    (r"\.attention\.attention\.(\w)\w+\.", r".attention.\1_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
)
"""From the names of checkpoints to those of the network, one after the other."""
UNREAD = ("embeddings.mask_token",)
"""What only trainings look at."""
FINAL = ("layernorm.weight", "layernorm.bias")
"""What follows the last block; without it the weights give what is inside, but not what leaves."""


def recognise(names: Collection[str]) -> str:
    """Return DINO's name if tensors of such names are those of its network, else an empty text."""
    renamed = [rename(name) for name in names]
    marks = (rf"^{PATCHES}$", rf"{BLOCK}norm1", rf"{BLOCK}(attn\.qkv|attention\.q_proj)")
    return NAME if has_marks(renamed, marks) else ""


def rename(name: str) -> str:
    """Return the name in the network of a tensor in a checkpoint."""
    for old, new in RENAMES:
        name = re.sub(old, new, name)
    return name
