"""A small TCL with random numbers and CLIP's own tokenizer, as its authors name tensors, written
when it is first asked for.
"""

from __future__ import annotations

import atexit
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from dino_twin import fill
from safetensors.torch import save_file

from ovsskit.backbones.tcl._grounder import add_grounder

SHAPE: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "head_width": 64, "patch_size": 16},
    "text_cfg": {"vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}
NAMES = (
    (r"^visual\.ln_post\.", "clip_image_encoder.clip_proj.ln."),
    (r"^visual\.proj$", "clip_image_encoder.clip_proj.proj"),
    (r"^visual\.", "clip_image_encoder.clip_visual."),
    (r"^grounder\.block\.", "masker.image_encoder.backbone.transformer.resblocks.2."),
    (r"^(grounder\.net\..*)\.gate$", r"\1.gate.gate"),
    (r"^grounder\.net\.", "masker.image_encoder.decoder.decoder.net."),
    (r"^grounder\.([wb])$", r"masker.sim2mask.\1"),
    (r"^grounder\.", "masker.image_encoder.decoder.image_proj."),
    (r"^(?!clip_|masker)", "clip_text_encoder."),
)
"""From open_clip's names and ours to the authors', one after the other."""


def authors_names(network: Any) -> dict[str, torch.Tensor]:
    """Return a network's tensors by the names of the published checkpoint."""
    found = {}
    for name, tensor in network.state_dict().items():
        if name != "logit_scale":
            for old, new in NAMES:
                name = re.sub(old, new, name)
            found[name] = tensor
    return found


@cache
def tcl_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    network = open_clip.CLIP(**SHAPE)
    add_grounder(network)
    file = Path(folder.name) / "tcl.safetensors"
    save_file(authors_names(fill(network)), file)
    return str(file)
