"""Read and write OFA's weights: fairseq's files, the hub port's folders, and our own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ovsskit.backbones._checkpoint import read_tensors, weights_file, write_tensors
from ovsskit.backbones.ofa._network import OfaNetwork, begin_decoder
from ovsskit.backbones.ofa._positions import ORIGIN
from ovsskit.backbones.ofa._shape import shape_of
from ovsskit.backbones.ofa._text import DICTIONARY, FIRST, TextReader, full_rows, read_rows
from ovsskit.errors import BadWeights, Place, first_of

FIX = (
    "Give a checkpoint of OFA or IFSeg, a folder of the hub port such as OFA-Sys/ofa-base, or one"
    " that `ovsskit fit` tuned."
)
WORDS = "encoder.embed_tokens.weight"
TIED = ("decoder.embed_tokens.weight", "encoder.embed_tokens_bag.weight", "shared.weight")
CLASSES = "encoder.seg_embed_tokens.weight"
TIED_CLASSES = ("decoder.seg_embed_tokens.weight", "decoder.seg_projection.weight")
IMAGE_POSITIONS = "encoder.embed_image_positions.weight"
UNUSED_POSITIONS = 2
"""The table of text positions has two rows more than a text may have tokens."""
RENAMES = (
    (r"^(encoder\.layers\.\d+)\.self_attn_mid_layer_norm\.", r"\1.attn_ln."),
    (r"^(decoder\.layers\.\d+)\.self_attn_mid_layer_norm\.", r"\1.self_attn_ln."),
    (r"^(decoder\.layers\.\d+)\.cross_attn_mid_layer_norm\.", r"\1.cross_attn_ln."),
    (r"^(decoder\.layers\.\d+)\.cross_attn_layer_norm\.", r"\1.encoder_attn_layer_norm."),
    (r"^(decoder\.layers\.\d+)\.cross_attn\.", r"\1.encoder_attn."),
    (r"^((?:en|de)coder\.layers\.\d+)\.ffn_layer_norm\.", r"\1.ffn_layernorm."),
)
"""From the names of the hub port to those of the released checkpoints."""


@dataclass(frozen=True)
class Tuned:
    """Say which classes weights are tuned for: by name, or without names by embeddings."""

    names: tuple[str, ...] = ()
    embeddings: Any = None


@dataclass(frozen=True)
class Checkpoint:
    """Hold a network, for which classes it is tuned if it is, and whether its decoder is OFA's."""

    network: OfaNetwork
    tuned: Tuned | None
    is_new: bool


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of weights, or a folder that holds one.

    What IFSeg adds to an OFA is filled with small random numbers.

    Raises:
        BadWeights: a file is missing or broken, needs more than tensors, or belongs to another
            architecture or size.
    """
    file = weights_file(path, FIX)
    state = _official(read_tensors(file, FIX))
    network, is_new = _network_for(state, file)
    if is_new:
        begin_decoder(network.decoder, seed=0)
    embeddings = state.pop(CLASSES, None)
    network.load_state_dict(
        {key: state[key] for key in network.state_dict() if key in state}, strict=False
    )
    names = read_names(path)
    tuned = Tuned(names, embeddings) if names or embeddings is not None else None
    return Checkpoint(network, tuned, is_new)


def check_checkpoint(path: Path) -> tuple[int, int]:
    """Refuse weights by names and shapes of tensors; return how many words and positions they know.

    Raises:
        BadWeights: they do not fit.
    """
    file = weights_file(path, FIX)
    state = _official(read_tensors(file, FIX, shapes_only=True))
    with torch.device("meta"):
        network, _ = _network_for(state, file)
    return network.shape.rows, network.shape.positions


def convert(path: Path, file: Path) -> None:
    """Write what is read of a checkpoint as safetensors, by released names, with its dictionary.

    Raises:
        BadWeights: the weights do not fit.
        BadOutput: another dictionary stands beside the file.
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    source = weights_file(path, FIX)
    state = _official(read_tensors(source, FIX))
    with torch.device("meta"):
        network, _ = _network_for(state, source)
    read = (
        CLASSES,
        *(key for key in network.state_dict() if not key.endswith("num_batches_tracked")),
    )
    kept = {key: state[key] for key in read if key in state}
    beside = source.parent / DICTIONARY
    copies = [beside] if beside.is_file() else []
    write_tensors(file, kept, copies, {**_read_notes(source), "format": "pt"})


def _network_for(state: Mapping[str, Any], file: Path) -> tuple[OfaNetwork, bool]:
    """Return a network of the tensors' shapes, and whether they lack what IFSeg adds to an OFA."""
    try:
        network = OfaNetwork(shape_of(state))
    except (KeyError, AttributeError, ValueError, TypeError) as error:
        raise _unfit(file, f"These are not weights of OFA: they lack {error}.") from error
    is_new = "decoder.embed_seg_positions.weight" not in state
    wanted = {
        key: tensor
        for key, tensor in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    added = (
        "decoder.embed_seg_positions.",
        "decoder.seg_pos_ln.",
        "decoder.seg_rel_pos_table_list.",
    )
    missing, wrong = [], []
    for key, tensor in wanted.items():
        if key not in state:
            missing += [] if is_new and key.startswith(added) else [key]
        elif state[key].shape != tensor.shape:
            wrong.append(key)
    if missing or wrong:
        what = (
            f"lacks {first_of(missing, most=3)}"
            if missing
            else f"has another size in {first_of(wrong, most=3)}"
        )
        raise _unfit(file, f"This is not a whole OFA: it {what}.")
    return network, is_new


def read_text(path: Path, rows: int, positions: int) -> TextReader:
    """Return the encoder of class names for weights with this many embeddings and positions.

    The dictionary is the published one, unless a `dict.txt` of another stands beside the weights.

    Raises:
        BadWeights: the dictionary has words that the weights have no embeddings for.
    """
    own = (path if path.is_dir() else path.parent) / DICTIONARY
    order = read_rows(own) if own.is_file() else full_rows()
    if not order or max(order.values()) >= rows:
        raise BadWeights(
            f"The weights have embeddings of {rows} words, but the dictionary has"
            f" {FIRST + len(order)}.",
            fix="Use an English OFA; the Chinese ones read other words.",
            where=Place(str(path)),
        )
    return TextReader(order, positions - UNUSED_POSITIONS)


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of the classes that weights are tuned for, where the file says so."""
    return tuple(json.loads(_read_notes(weights_file(path, FIX)).get("classes", "[]")))


def _read_notes(file: Path) -> Mapping[str, str]:
    """Return what is written beside the tensors of a safetensors file."""
    if file.suffix != ".safetensors":
        return {}
    with safe_open(file, "pt") as opened:
        return opened.metadata() or {}


def _official(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors by their released names, tied ones once, short tables filled up."""
    named = {}
    for key, tensor in state.items():
        for old, new in RENAMES:
            key = re.sub(old, new, key)
        named[key] = tensor
    for first, others in ((WORDS, TIED), (CLASSES, TIED_CLASSES)):
        known = next((named[key] for key in (first, *others) if key in named), None)
        named |= {first: known} if known is not None else {}
    rows, table = named.get(IMAGE_POSITIONS), named.get("encoder.image_rel_pos_table_list.0.weight")
    if rows is not None and table is not None:
        # A side of s cells has (2 s - 1)^2 steps; the released code fills missing rows with random
        # numbers.
        full = ((round((len(table) - ORIGIN) ** 0.5) + 1) // 2) ** 2 + 1
        if len(rows) < full:
            noise = torch.randn(
                full - len(rows), rows.shape[1], generator=torch.Generator().manual_seed(0)
            )
            named[IMAGE_POSITIONS] = torch.cat([rows, (noise * rows.shape[1] ** -0.5).to(rows)])
    return named


def _unfit(path: Path, what: str) -> BadWeights:
    return BadWeights(what, fix=FIX, where=Place(str(path)))
