"""Read a checkpoint of TCL into a CLIP of open_clip and a grounder."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ovsskit._lazy import torch
from ovsskit.backbones._checkpoint import (
    count_of,
    has_marks,
    read_tensors,
    see_fit,
    weights_file,
    write_tensors,
)
from ovsskit.backbones._inferred import infer, see_known
from ovsskit.backbones.clip._weights import build_network
from ovsskit.backbones.tcl._grounder import add_grounder

NAME = "TCL"
FIX = "Give the checkpoint that TCL's authors publish, tcl.pth."
MASKER = r"^masker\.image_encoder\."
RENAMES = (
    (r"^clip_image_encoder\.clip_visual\.", "visual."),
    (r"^clip_image_encoder\.clip_proj\.ln\.", "visual.ln_post."),
    (r"^clip_image_encoder\.clip_proj\.proj$", "visual.proj"),
    (r"^clip_text_encoder\.", ""),
    # The block keeps its number in the tower.
    (MASKER + r"backbone\.transformer\.resblocks\.\d+\.", "grounder.block."),
    (MASKER + r"decoder\.decoder\.net\.", "grounder.net."),
    (r"^(grounder\.net\..*)\.gate\.gate$", r"\1.gate"),
    (MASKER + r"decoder\.image_proj\.", "grounder."),
    (r"^masker\.sim2mask\.", "grounder."),
)
"""From the names of the checkpoint to those of the network, one after the other."""
BLOCK, TEXT_BLOCK = r"^visual\.transformer\.resblocks\.(\d+)\.", r"^transformer\.resblocks\.(\d+)\."
HEAD_WIDTH = 64
"""Of both towers of CLIP."""
UNUSED = "logit_scale"
"""What CLIP has and the checkpoint lacks, since TCL learns a scale of its own."""


def recognise(names: Collection[str]) -> str:
    """Return TCL's name if tensors of such names are its checkpoint's, else an empty text."""
    marks = (
        r"^clip_image_encoder\.clip_visual\.",
        r"^masker\.image_encoder\.",
        r"^masker\.sim2mask",
    )
    return NAME if has_marks(names, marks) else ""


def rename(name: str) -> str:
    """Return the name in the network of a tensor in a checkpoint."""
    for old, new in RENAMES:
        name = re.sub(old, new, name)
    return name


def configuration(path: Path) -> dict[str, Any]:
    """Return open_clip's configuration of a checkpoint's towers.

    Raises:
        BadWeights: the weights do not fit.
    """
    return _configure(_read(path, shapes_only=True)[0])


def read_network(path: Path, precision: str, epsilon: float) -> Any:
    """Return the network of a checkpoint, whose image encoder's layer norms add this epsilon.

    Raises:
        BadWeights: a file is missing or broken, or belongs to another architecture.
    """
    state, _ = _read(path)
    network = _build(path, state, precision)
    network.load_state_dict(state)
    for module in (*network.visual.modules(), *network.grounder.modules()):
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = epsilon
    return network


def check(path: Path) -> None:
    """Refuse weights by the names and shapes of tensors.

    Raises:
        BadWeights: they do not fit.
    """
    _read(path, shapes_only=True)


def convert(path: Path, file: Path) -> None:
    """Write what is read of a checkpoint as safetensors.

    Raises:
        BadWeights, BadOutput, CannotWrite: the weights do not fit, or the file cannot be written.
    """
    _, taken = _read(path)
    write_tensors(file, taken, [])


def _read(path: Path, *, shapes_only: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the network's tensors, and those of the file that they are made of."""
    tensors = read_tensors(weights_file(path, FIX), FIX, shapes_only=shapes_only)
    see_known(recognise(tensors), tensors, "TCL", path, FIX)
    state = {rename(name): one for name, one in tensors.items()}
    needed = _build(path, state, "fp32", device="meta").state_dict()
    state[UNUSED] = torch.zeros_like(state["grounder.w"])
    see_fit(state, needed, "TCL", path, FIX)
    taken = {name: one for name, one in tensors.items() if rename(name) in needed}
    return {name: state[name] for name in needed}, taken


def _build(path: Path, state: Mapping[str, Any], precision: str, device: str = "cpu") -> Any:
    """Return a network without weights, of the shape that tensors say."""
    config = infer(lambda: _configure(state), "TCL", path, FIX)
    network = build_network(config, precision, device=device)
    add_grounder(network)
    return network


def _configure(state: Mapping[str, Any]) -> dict[str, Any]:
    """Infer open_clip's configuration from shapes; heads are 64 wide, as CLIP's are."""
    width, _, patch, _ = state["visual.conv1.weight"].shape
    side = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    words, text_width = state["token_embedding.weight"].shape
    return {
        "embed_dim": state["visual.proj"].shape[1],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": side * patch,
            "layers": count_of(state, BLOCK),
            "width": width,
            "head_width": HEAD_WIDTH,
            "patch_size": patch,
        },
        "text_cfg": {
            "vocab_size": words,
            "context_length": state["positional_embedding"].shape[0],
            "width": text_width,
            "heads": max(1, text_width // HEAD_WIDTH),
            "layers": count_of(state, TEXT_BLOCK),
        },
    }
