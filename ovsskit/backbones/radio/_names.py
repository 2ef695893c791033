"""Know the tensors of RADIO by the names that checkpoints give them.

There are three ways: NVIDIA's own checkpoints (`base_model.`, `_heads.`), those of the hub whose
code lies beside them (`radio_model.`), and transformers', which are those of the network here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ovsskit.backbones._checkpoint import has_marks

NAME = "RADIO"
PATCHES = "embeddings.patch_projection.weight"
POSITIONS = "embeddings.position_embedding"
PREFIX = "embeddings.cls_register_token"
BLOCK = r"^encoder\.layer\.(\d+)\."
HEAD = "head."
RENAMES = (
    (r"^(module\.)+", ""),
    (r"^(base_model|radio_model\.model|radio_model)\.", ""),
    (r"^patch_generator\.embedder\.", "embeddings.patch_projection."),
    (r"^patch_generator\.video_embedder\.", "embeddings.video_patch_projection."),
    (r"^patch_generator\.pos_embed$", POSITIONS),
    (r"^patch_generator\.cls_token\.token$", PREFIX),
    (r"^patch_generator\.", "embeddings."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.ls(\d)\.gamma$", r".layer_scale\1.lambda1"),
    (r"^_heads\.", HEAD),
    (r"^adaptors\.([^.]+)\.head_mlp\.", rf"{HEAD}\1."),
)
"""From the names of checkpoints to those of the network, one after the other."""
ENCODER = ("embeddings.", "encoder.", "norm.")
"""How names begin of what every image goes through."""
UNREAD = "embeddings.video_patch_projection."
"""What images do not go through."""


def recognise(names: Collection[str]) -> str:
    """Return RADIO's name if tensors of such names are those of its network, else an empty text."""
    renamed = [rename(name) for name in names]
    marks = (rf"^{PATCHES}$", rf"^{PREFIX}$", rf"{BLOCK}norm1")
    return NAME if has_marks(renamed, marks) else ""


def rename(name: str, teachers: Sequence[str] = ()) -> str:
    """Return the name in the network of a tensor in a checkpoint, which may number its teachers."""
    for old, new in RENAMES:
        name = re.sub(old, new, name)
    numbered = re.match(r"head\.(\d+)\.", name)
    if numbered and int(numbered[1]) < len(teachers):
        return f"{HEAD}{teachers[int(numbered[1])]}.{name[numbered.end() :]}"
    return name


def heads_in(names: Collection[str]) -> list[str]:
    """Return the teachers into whose spaces there are heads, of names in the network."""
    return sorted({name.split(".")[1] for name in names if name.startswith(HEAD)})
