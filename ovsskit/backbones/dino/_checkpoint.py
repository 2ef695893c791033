"""Read checkpoints of DINO and DINOv2, the authors' and those of the hub, into one network.

The network is that of DINOv2 with registers: DINO is one with no registers, whose blocks do not
scale what they add.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from ovsskit._lazy import torch, transformers
from ovsskit.backbones._checkpoint import (
    count_of,
    read_tensors,
    see_fit,
    too_large,
    weights_file,
    write_tensors,
)
from ovsskit.backbones.dino._names import (
    BLOCK,
    FINAL,
    PATCHES,
    POSITIONS,
    REGISTERS,
    UNREAD,
    recognise,
    rename,
)
from ovsskit.errors import BadWeights, Place
from ovsskit.files.reading import Unreadable, read_json

FIX = "Give a vision transformer of DINO or DINOv2, such as facebook/dino-vits8."
HEAD_WIDTH = 64
"""Of all published models."""


class Configuration(BaseModel, extra="allow"):
    """Give the shape of a `config.json` of the hub, as far as it is read here."""

    num_attention_heads: int = Field(default=0, ge=0, le=1000)


def read_network(path: Path, dtype: Any, epsilon: float, *, with_norm: bool = False) -> Any:
    """Return the network of a checkpoint or its folder, whose layer norms add this epsilon.

    Where the final normalisation is missing it has none, or is refused if it is to be `with_norm`.

    Raises:
        BadWeights: a file is missing or broken, or belongs to another architecture.
    """
    network, state, _ = _read(path, dtype, with_norm=with_norm)
    network.load_state_dict(state, strict=False, assign=True)
    network.embeddings.mask_token = None
    if FINAL[0] not in state:
        network.layernorm = None
    for module in network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = epsilon
    return network


def check(path: Path) -> int:
    """Refuse weights by the names and shapes of tensors; return the width of tokens.

    Raises:
        BadWeights: they do not fit.
    """
    network, _, _ = _read(path, shapes_only=True)
    return int(network.config.hidden_size)


def convert(path: Path, file: Path, beside: Collection[Path]) -> None:
    """Write what is read of a checkpoint as safetensors, and copies of what lies beside it.

    Raises:
        BadWeights, BadOutput, CannotWrite: the weights do not fit, or the files cannot be written.
    """
    _, _, taken = _read(path)
    write_tensors(file, taken, beside)


def _read(
    path: Path,
    dtype: Any = None,
    *,
    shapes_only: bool = False,
    with_norm: bool = False,
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return the empty network, its tensors, and those of the file that they are made of."""
    tensors = read_tensors(weights_file(path, FIX), FIX, dtype, shapes_only=shapes_only)
    if not recognise(tensors):
        there = f"They begin with {', '.join(sorted(tensors)[:3])}."
        raise _unfit(path, "These weights are not those of a DINO.", there)
    taken = {name: one for name, one in tensors.items() if rename(name) not in UNREAD}
    state = _split_attention({rename(name): tensor for name, tensor in taken.items()})
    _fold_distillation(state)
    try:
        config = _configure(state, _heads(path))
    except KeyError as error:
        raise _unfit(path, f"These weights of a DINO lack: {error.args[0]}.") from error
    if large := too_large(config):
        raise _unfit(path, f"The shapes of these weights say {large}.")
    try:
        with torch.device("meta"):
            network = transformers.Dinov2WithRegistersModel(
                transformers.Dinov2WithRegistersConfig(**config)
            ).eval()
    except (ArithmeticError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise _unfit(path, f"The shapes of these weights describe no DINO: {reason}") from error
    unneeded = UNREAD if with_norm or FINAL[0] in state else (*UNREAD, *FINAL)
    needed = {name: one for name, one in network.state_dict().items() if name not in unneeded}
    one, ones = torch.ones_like(state[PATCHES][:, 0, 0, 0]), {}
    if not any("scale" in name for name in state):  # a DINO; of a DINOv2 none may be missing
        ones = {name: one for name in needed if "scale" in name}
    empty = {REGISTERS: torch.zeros_like(state[POSITIONS][:, :0])}
    state = {**ones, **empty, **state}
    see_fit(state, needed, "a DINO", path, FIX)
    return network, {name: state[name] for name in needed}, taken


def _split_attention(state: Mapping[str, Any]) -> dict[str, Any]:
    """Give queries, keys and values a tensor each where the authors have one for all three."""
    found = {}
    for name, tensor in state.items():
        if ".attn.qkv." not in name:
            found[name] = tensor
            continue
        for part, one in zip("qkv", tensor.chunk(3), strict=True):
            found[name.replace(".attn.qkv.", f".attention.{part}_proj.")] = one
    return found


def _fold_distillation(state: dict[str, Any]) -> None:
    """Let DeiT's distillation token be a register: its place in the table is added to it."""
    registers, table = state.get(REGISTERS), state.get(POSITIONS)
    is_square = table is not None and round((table.shape[1] - 2) ** 0.5) ** 2 == table.shape[1] - 2
    if registers is None or registers.shape[1] != 1 or table is None or not is_square:
        return
    state[REGISTERS] = registers + table[:, 1:2]
    state[POSITIONS] = torch.cat([table[:, :1], table[:, 2:]], 1)


def _configure(state: Mapping[str, Any], heads: int) -> dict[str, Any]:
    """Infer a configuration from shapes, which say everything but the number of heads."""
    width, _, patch, _ = state[PATCHES].shape
    side = round((state[POSITIONS].shape[1] - 1) ** 0.5)
    registers = state[REGISTERS].shape[1] if REGISTERS in state else 0
    return {
        "hidden_size": width,
        "num_hidden_layers": count_of(state, BLOCK),
        "num_attention_heads": heads or max(1, width // HEAD_WIDTH),
        "mlp_ratio": state["encoder.layer.0.mlp.fc1.weight"].shape[0] // width,
        "image_size": side * patch,
        "patch_size": patch,
        "num_register_tokens": registers,
        "qkv_bias": "encoder.layer.0.attention.q_proj.bias" in state,
    }


def _heads(path: Path) -> int:
    """Return the number of heads that a configuration beside the weights says, or 0."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    if not file.is_file():
        return 0
    try:
        found: Configuration = read_json(file, Configuration)
    except Unreadable as error:
        what = f"The model's configuration cannot be read: {error}."
        raise BadWeights(what, fix=FIX, where=Place(str(file))) from error
    return found.num_attention_heads


def _unfit(path: Path, what: str, there: str = "") -> BadWeights:
    return BadWeights(what, there=there, fix=FIX, where=Place(str(path)))
