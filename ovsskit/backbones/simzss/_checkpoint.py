"""Read a checkpoint of SimZSS: timm's DINOv2, one block behind it, and open_clip's text encoder."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ovsskit.backbones._checkpoint import (
    has_marks,
    read_tensors,
    see_exact,
    weights_file,
    write_tensors,
)
from ovsskit.backbones._inferred import infer, see_known, unfit
from ovsskit.backbones.dino._checkpoint import by_network
from ovsskit.backbones.simzss._networks import configure, make_network

NAME = "SimZSS"
FIX = "Give a checkpoint that SimZSS's authors share."
BEFORE = r"^(module\.)+"
"""What trainings on several GPUs put before names."""
VISION, DENOISER = "visual.vit.model.", "visual.denoiser."
PLACES = "visual.pos_embed"
"""Positions that are added to what enters the denoiser."""
TRAINING = ("logit_scale", "logit_scale_local", "classification_weights_ema", "beta_ema")
"""What only the training looks at."""


def recognise(names: Collection[str]) -> str:
    """Return SimZSS's name if tensors of such names are its checkpoint's, else an empty text."""
    marks = (r"visual\.vit\.model\.reg_token$", r"visual\.denoiser\.", r"text\.token_embedding\.")
    return NAME if has_marks(names, marks) else ""


def read_network(path: Path, dtype: Any) -> Any:
    """Return the image encoder, the denoiser and the text encoder of a checkpoint.

    Raises:
        BadWeights: the file is missing or broken, or does not hold just that.
    """
    tensors = read_tensors(weights_file(path, FIX), FIX, dtype)
    network = _build(tensors, path)
    network.load_state_dict(_by_network(tensors), assign=True)
    text = network["text"]
    text.attn_mask = text.build_causal_mask()  # in no file, and empty until now
    return network


def check(path: Path) -> None:
    """Refuse weights by the names and shapes of tensors.

    Raises:
        BadWeights: they do not fit.
    """
    _build(read_tensors(weights_file(path, FIX), FIX, shapes_only=True), path)


def convert(path: Path, file: Path) -> None:
    """Write what is read of a checkpoint as safetensors.

    Raises:
        BadWeights, CannotWrite: the weights do not fit, or the file cannot be written.
    """
    tensors = read_tensors(weights_file(path, FIX), FIX)
    _build(tensors, path)
    plain = {re.sub(BEFORE, "", name): one for name, one in tensors.items()}
    write_tensors(file, {name: one for name, one in plain.items() if name not in TRAINING}, [])


def _build(tensors: Mapping[str, Any], path: Path) -> Any:
    """Return the empty networks whose tensors these are, each of them.

    Raises:
        BadWeights: they are those of others, or some are missing, too many, or of another shape.
    """
    see_known(recognise(tensors), tensors, NAME, path, FIX)
    try:
        state = _by_network(tensors)
        network = make_network(infer(lambda: configure(state), NAME, path, FIX))
    except (ArithmeticError, AssertionError, IndexError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        what = f"The shapes of these weights describe no SimZSS: {reason}"
        raise unfit(path, what, FIX) from error
    see_exact(state, network, NAME, path, FIX)
    return network


def _by_network(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors by the networks' names, those that only a training looks at left out."""
    vision, denoiser, state = {}, {}, {}
    for name, tensor in tensors.items():
        plain = re.sub(BEFORE, "", name)
        if plain.startswith(VISION):
            vision[plain.removeprefix(VISION)] = tensor
        elif plain.startswith(DENOISER):
            denoiser[f"blocks.0.{plain.removeprefix(DENOISER)}"] = tensor
        elif plain == PLACES:
            state["denoiser.position_embeddings"] = tensor
        elif plain not in TRAINING:
            state[plain] = tensor
    for part, named in (("vision", vision), ("denoiser", denoiser)):
        state |= {f"{part}.{name}": one for name, one in by_network(named).items()}
    return state
