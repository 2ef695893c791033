"""Read checkpoints of RADIO, NVIDIA's and those of the hub, into transformers' network.

What a checkpoint holds beside the tensors is read as plain values, and only the names of its
teachers are looked at, by which it may number its heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ovsskit._lazy import torch
from ovsskit.backbones._checkpoint import (
    count_of,
    read_checkpoint,
    see_fit,
    weights_file,
    write_tensors,
)
from ovsskit.backbones._inferred import (
    Heads,
    build_empty,
    config_beside,
    infer,
    read_beside,
    see_known,
    split_attention,
    unfit,
)
from ovsskit.backbones.radio._head import build_head
from ovsskit.backbones.radio._names import (
    BLOCK,
    ENCODER,
    HEAD,
    PATCHES,
    POSITIONS,
    PREFIX,
    UNREAD,
    heads_in,
    recognise,
    rename,
)
from ovsskit.errors import BadWeights, Place, first_of

FIX = "Give a C-RADIO, such as nvidia/C-RADIOv3-B or NVIDIA's c-radio_v3-b_half.pth.tar."
HEADS = {1152: 16, 1280: 16}
"""How many heads published models of a width have whose heads are not 64 wide."""
HEAD_WIDTH = 64
COLOURS = ("mean", "std")


def read_network(path: Path, dtype: Any, language: str) -> Any:
    """Return the network of a checkpoint or its folder, with the head of a teacher if it is there.

    Its `colours` are the mean of red, green and blue (0 to 1) and their deviation.

    Raises:
        BadWeights: a file is missing or broken, or belongs to another architecture.
    """
    network, state = _read(path, language)
    network.colours = [state[f"input_conditioner.norm_{one}"].flatten().tolist() for one in COLOURS]
    converted = {name: one.to(dtype) for name, one in state.items()}
    network.load_state_dict(converted, strict=False, assign=True)
    network.summary_idxs = network.input_conditioner = None
    return network


def check(path: Path, language: str) -> None:
    """Refuse weights by the names and shapes of tensors.

    Raises:
        BadWeights: they do not fit.
    """
    _read(path, language, shapes_only=True)


def convert(path: Path, file: Path) -> None:
    """Write the network and the heads of all teachers as safetensors, and what says its shape.

    Raises:
        BadWeights, BadOutput, CannotWrite: the weights do not fit, or the files cannot be written.
    """
    state = _tensors(path)
    _, needed = _build(path, state)
    see_fit(state, needed, "a RADIO", path, FIX)
    heads = {name: one for name, one in state.items() if name.startswith(HEAD)}
    written = {name: state[name] for name in needed} | heads
    config = config_beside(path)
    write_tensors(file, written, [config] if config.is_file() else [])


def choose_head(path: Path, names: list[str], language: str) -> str:
    """Return which of the teachers with a head is meant by its name, or by how it begins.

    Raises:
        BadWeights: none is, or several are.
    """
    found = [one for one in names if one == language] or [
        one for one in names if one.startswith(language)
    ]
    if len(found) == 1:
        return found[0]
    what = f"`{language}` names {'several' if found else 'none'} of the heads of these weights."
    there = f"They have heads for: {', '.join(names)}"
    raise BadWeights(what, there=there, fix="Set language to one.", where=Place(str(path)))


def _read(path: Path, language: str, *, shapes_only: bool = False) -> tuple[Any, dict[str, Any]]:
    """Return the empty network, and its tensors."""
    state = _tensors(path, shapes_only=shapes_only)
    network, needed = _build(path, state)
    if names := heads_in(state):
        start = f"{HEAD}{choose_head(path, names, language)}."
        own = {
            name.removeprefix(start): one for name, one in state.items() if name.startswith(start)
        }
        try:
            with torch.device("meta"):
                network.head = build_head(own).eval()
        except KeyError as error:
            what = f"The head of these weights for {start[len(HEAD) : -1]} lacks: {error.args[0]}."
            raise unfit(path, what, FIX) from error
        needed |= {f"{HEAD}{name}": one for name, one in network.head.state_dict().items()}
        state |= {f"{HEAD}{name}": one for name, one in own.items()}
    see_fit(state, needed, "a RADIO", path, FIX)
    return network, {name: state[name] for name in needed}


def _tensors(path: Path, *, shapes_only: bool = False) -> dict[str, Any]:
    """Return the tensors of a checkpoint by the network's names."""
    file = weights_file(path, FIX)
    tensors, settings = read_checkpoint(file, FIX, shapes_only=shapes_only)
    see_known(recognise(tensors), tensors, "a RADIO", path, FIX)
    teachers = settings.get("teachers", [])
    names = [str(one.get("name", "")) for one in teachers if isinstance(one, Mapping)]
    return split_attention({rename(name, names): one for name, one in tensors.items()})


def _build(path: Path, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the network without weights and heads, and the tensors that it needs."""
    heads = read_beside(path, Heads, FIX).num_attention_heads
    config = infer(lambda: _configure(state, heads), "a RADIO", path, FIX)
    network = build_empty("Radio", config, "RADIO", path, FIX)
    network.head = None
    needed = {name: one for name, one in network.state_dict().items() if name != "summary_idxs"}
    ones = {name: torch.ones_like(state[PREFIX][0]) for name in needed if "scale" in name}
    state.update({name: one for name, one in ones.items() if name not in state})
    foreign = [
        name
        for name in state
        if name.startswith(ENCODER) and name not in needed and not name.startswith(UNREAD)
    ]
    if foreign:
        what = f"These weights have what this RADIO lacks: {first_of(sorted(foreign), most=3)}."
        raise unfit(path, what, FIX)
    return network, needed


def _configure(state: Mapping[str, Any], heads: int) -> dict[str, Any]:
    """Infer a configuration from shapes, which say everything but the number of heads."""
    width, numbers = state[PATCHES].shape
    patch = round((numbers / 3) ** 0.5)
    side = round(state[POSITIONS].shape[1] ** 0.5)
    return {
        "hidden_size": width,
        "num_hidden_layers": count_of(state, BLOCK),
        "num_attention_heads": heads or HEADS.get(width, max(1, width // HEAD_WIDTH)),
        "mlp_ratio": (state["encoder.layer.0.mlp.fc1.weight"].shape[0] + 0.5) / width,
        "patch_size": patch,
        "max_img_size": side * patch,
        "num_cls_tokens": state[PREFIX].shape[0],
        "num_registers": 0,
        "qkv_bias": "encoder.layer.0.attention.q_proj.bias" in state,
    }
