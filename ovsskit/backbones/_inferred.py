"""Infer a network from the shapes of a checkpoint's tensors, and build it without weights.

A `config.json` may lie beside the weights, and says what shapes do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from ovsskit._lazy import torch, transformers
from ovsskit.backbones._checkpoint import too_large
from ovsskit.errors import BadWeights, Place
from ovsskit.files.reading import Unreadable, read_json

CONFIG = "config.json"
C = TypeVar("C", bound=BaseModel)


class Heads(BaseModel, extra="allow"):
    """Give what a `config.json` of the hub says of a transformer's heads; 0 if it says nothing."""

    num_attention_heads: int = Field(default=0, ge=0, le=1000)


def config_beside(path: Path) -> Path:
    """Return where the configuration of weights, or of their folder, lies if there is one."""
    return (path if path.is_dir() else path.parent) / CONFIG


def read_beside(path: Path, kind: type[C], fix: str) -> C:
    """Return what the configuration beside weights says, or what none says.

    Raises:
        BadWeights: it is broken; `fix` would fix it.
    """
    file = config_beside(path)
    if not file.is_file():
        return kind()
    try:
        found: C = read_json(file, kind)
    except Unreadable as error:
        raise unfit(file, f"The model's configuration cannot be read: {error}.", fix) from error
    return found


def see_known(known: str, tensors: Mapping[str, Any], whose: str, path: Path, fix: str) -> None:
    """Refuse tensors whose names are not `known`.

    Raises:
        BadWeights: they are not; `fix` would fix it.
    """
    if not known:
        there = f"They begin with {', '.join(sorted(tensors)[:3])}."
        raise unfit(path, f"These weights are not those of {whose}.", fix, there)


def infer(
    configure: Callable[[], dict[str, Any]], whose: str, path: Path, fix: str
) -> dict[str, Any]:
    """Return the sizes of a network, which `configure` reads off tensors by their names.

    Raises:
        BadWeights: a tensor is missing or of another shape, or no network is so large; `fix` would
            fix it.
    """
    try:
        config = configure()
    except KeyError as error:
        raise unfit(path, f"These weights of {whose} lack: {error.args[0]}.", fix) from error
    except (ArithmeticError, IndexError, ValueError) as error:
        raise unfit(path, f"The shapes of these weights are not those of {whose}.", fix) from error
    if large := too_large(config):
        raise unfit(path, f"The shapes of these weights say {large}.", fix)
    return config


def build_empty(kind: str, config: Mapping[str, Any], name: str, path: Path, fix: str) -> Any:
    """Return a network of these sizes without weights: transformers' `KindModel`.

    Raises:
        BadWeights: the sizes describe none; `fix` would fix it.
    """
    try:
        with torch.device("meta"):
            settings = getattr(transformers, f"{kind}Config")(**config)
            return getattr(transformers, f"{kind}Model")(settings).eval()
    except (ArithmeticError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        what = f"The shapes of these weights describe no {name}: {reason}"
        raise unfit(path, what, fix) from error


def split_attention(
    state: Mapping[str, Any], packed: str = ".attn.qkv.", apart: str = ".attention.{}_proj."
) -> dict[str, Any]:
    """Give queries, keys and values a tensor each where checkpoints have one for all three."""
    found = {}
    for name, tensor in state.items():
        if not name.endswith((f"{packed}weight", f"{packed}bias")):
            found[name] = tensor
            continue
        for part, one in zip("qkv", tensor.chunk(3), strict=True):
            found[name.replace(packed, apart.format(part))] = one
    return found


def unfit(path: Path, what: str, fix: str, there: str = "") -> BadWeights:
    """Return the error that weights do not fit."""
    return BadWeights(what, there=there, fix=fix, where=Place(str(path)))
