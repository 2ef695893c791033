"""Read checkpoints of DINO and DINOv2, the authors' and those of the hub, into one network.

The network is that of DINOv2 with registers: DINO is one with no registers, whose blocks do not
scale what they add.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isqrt
from pathlib import Path
from typing import Any

from ovsskit._lazy import torch
from ovsskit.backbones._checkpoint import (
    count_of,
    read_tensors,
    see_fit,
    weights_file,
    write_tensors,
)
from ovsskit.backbones._inferred import (
    Heads,
    build_empty,
    infer,
    read_beside,
    see_known,
    split_attention,
)
from ovsskit.backbones.dino._names import (
    BLOCK,
    FINAL,
    PATCHES,
    POSITIONS,
    REGISTERS,
    TIMMS_REGISTERS,
    UNREAD,
    recognise,
    rename,
)

FIX = "Give a vision transformer of DINO or DINOv2, such as facebook/dino-vits8."
HEAD_WIDTH = 64
"""Of all published models."""


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
    see_known(recognise(tensors), tensors, "a DINO", path, FIX)
    taken = {name: one for name, one in tensors.items() if rename(name) not in UNREAD}
    state = by_network(taken)
    heads = read_beside(path, Heads, FIX).num_attention_heads
    config = infer(lambda: configure(state, heads), "a DINO", path, FIX)
    network = build_empty("Dinov2WithRegisters", config, "DINO", path, FIX)
    unneeded = UNREAD if with_norm or FINAL[0] in state else (*UNREAD, *FINAL)
    needed = {name: one for name, one in network.state_dict().items() if name not in unneeded}
    one, ones = torch.ones_like(state[PATCHES][:, 0, 0, 0]), {}
    if not any("scale" in name for name in state):  # a DINO; of a DINOv2 none may be missing
        ones = {name: one for name in needed if "scale" in name}
    empty = {REGISTERS: torch.zeros_like(state[POSITIONS][:, :0])}
    state = {**ones, **empty, **state}
    see_fit(state, needed, "a DINO", path, FIX)
    return network, {name: state[name] for name in needed}, taken


def by_network(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of a checkpoint by the network's names, in the network's shapes."""
    state = split_attention({rename(name): tensor for name, tensor in tensors.items()})
    _fold_distillation(state)
    if any(name.endswith(TIMMS_REGISTERS) for name in tensors):
        _place_class(state)
    return state


def _fold_distillation(state: dict[str, Any]) -> None:
    """Let DeiT's distillation token be a register: its place in the table is added to it."""
    registers, table = state.get(REGISTERS), state.get(POSITIONS)
    if registers is None or table is None or registers.ndim != 3 or table.ndim != 3:
        return
    places = max(0, table.shape[1] - 2)
    if registers.shape[1] != 1 or isqrt(places) ** 2 != places:
        return
    state[REGISTERS] = registers + table[:, 1:2]
    state[POSITIONS] = torch.cat([table[:, :1], table[:, 2:]], 1)


def _place_class(state: dict[str, Any]) -> None:
    """Give the class token a place in a table that has none; timm has added it to the token."""
    table = state.get(POSITIONS)
    if table is not None and table.ndim == 3:
        state[POSITIONS] = torch.cat([torch.zeros_like(table[:, :1]), table], 1)


def configure(state: Mapping[str, Any], heads: int) -> dict[str, Any]:
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
