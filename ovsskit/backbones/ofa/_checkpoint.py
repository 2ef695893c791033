"""Read and write OFA's weights: fairseq's files of OFA and IFSeg, the hub port's folders, and our own."""

from __future__ import annotations

import argparse
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ovsskit.backbones.ofa._network import OfaNetwork, begin_decoder
from ovsskit.backbones.ofa._positions import ORIGIN
from ovsskit.backbones.ofa._shape import shape_of
from ovsskit.backbones.ofa._text import DICTIONARY, FIRST, TextReader, full_rows, read_rows
from ovsskit.errors import BadWeights, Place
from ovsskit.files.writing import see_same, write_whole

FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
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
    """Say which classes weights are tuned for: by name, or where a released checkpoint tells none, by their embeddings."""

    names: tuple[str, ...] = ()
    embeddings: Any = None


@dataclass(frozen=True)
class Checkpoint:
    """Hold a network that was read, for which classes it is tuned if it is, and whether its decoder is that of an OFA."""

    network: OfaNetwork
    tuned: Tuned | None
    is_new: bool


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of weights, or a folder that holds one; what IFSeg adds to an OFA is filled with small random numbers.

    Raises:
        BadWeights: a file is missing or broken, needs more than tensors, or belongs to another architecture or size.
    """
    file = weights_file(path)
    state = _official(_read_tensors(file))
    network, is_new = _network_for(state, file)
    if is_new:
        begin_decoder(network.decoder, seed=0)
    embeddings = state.pop(CLASSES, None)
    network.load_state_dict(
        {key: state[key] for key in network.state_dict() if key in state}, strict=False
    )
    names = read_names(file)
    tuned = Tuned(names, embeddings) if names or embeddings is not None else None
    return Checkpoint(network, tuned, is_new)


def check_checkpoint(path: Path) -> tuple[int, int]:
    """Refuse weights that do not fit, by the names and shapes of their tensors; return how many words and positions they know.

    Raises:
        BadWeights: they do not fit.
    """
    file = weights_file(path)
    state = _official(_read_tensors(file, shapes_only=True))
    with torch.device("meta"):
        network, _ = _network_for(state, file)
    return network.shape.rows, network.shape.positions


def convert(path: Path, file: Path) -> None:
    """Write what is read of a checkpoint as safetensors, under the released names, with the dictionary that lies beside it.

    Raises:
        BadWeights: the weights do not fit.
        BadOutput: another dictionary stands beside the file.
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    source = weights_file(path)
    beside = source.parent / DICTIONARY
    copies = beside.is_file() and not see_same(beside, file.parent / DICTIONARY)
    state = _official(_read_tensors(source))
    with torch.device("meta"):
        network, _ = _network_for(state, source)
    read = (
        CLASSES,
        *(key for key in network.state_dict() if not key.endswith("num_batches_tracked")),
    )
    kept = {key: state[key].contiguous().clone() for key in read if key in state}
    content = save(kept, {**read_notes(source), "format": "pt"})
    write_whole(file, lambda opened: opened.write(content))
    if copies:
        words = beside.read_bytes()
        write_whole(file.parent / DICTIONARY, lambda opened: opened.write(words))


def _network_for(state: Mapping[str, Any], file: Path) -> tuple[OfaNetwork, bool]:
    """Return a network of the tensors' shapes, and whether what IFSeg adds to an OFA is not among them."""
    try:
        network = OfaNetwork(shape_of(state))
    except (KeyError, AttributeError, ValueError, TypeError) as error:
        raise _unfit(file, f"These are no weights of OFA: they lack {error}.") from error
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
    missing = [key for key in wanted if key not in state and not (is_new and key.startswith(added))]
    wrong = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if missing or wrong:
        what = f"lacks {_few(missing)}" if missing else f"has another size in {_few(wrong)}"
        raise _unfit(file, f"This is no whole OFA: it {what}.")
    return network, is_new


def read_text(path: Path, rows: int, positions: int) -> TextReader:
    """Return what encodes class names for weights with so many embeddings and positions.

    The dictionary is the published one, unless a `dict.txt` of another stands beside the weights.

    Raises:
        BadWeights: the dictionary has words that the weights have no embeddings for.
    """
    own = (path if path.is_dir() else path.parent) / DICTIONARY
    order = read_rows(own) if own.is_file() else full_rows()
    if not order or max(order.values()) >= rows:
        raise BadWeights(
            f"The weights have embeddings of {rows} words, and the dictionary has {FIRST + len(order)}.",
            fix="Use an English OFA; the Chinese ones read other words.",
            where=Place(str(path)),
        )
    return TextReader(order, positions - UNUSED_POSITIONS)


def read_names(file: Path) -> tuple[str, ...]:
    """Return the names of the classes that weights are tuned for, where the file says so."""
    return tuple(json.loads(read_notes(file).get("classes", "[]")))


def read_notes(file: Path) -> Mapping[str, str]:
    """Return what is written beside the tensors of a safetensors file."""
    if file.suffix != ".safetensors":
        return {}
    with safe_open(file, "pt") as opened:
        return opened.metadata() or {}


def weights_file(path: Path) -> Path:
    """Return the file of weights of a folder, or the file itself.

    Raises:
        BadWeights: the folder holds none.
    """
    if not path.is_dir():
        return path
    file = next((path / name for name in FOLDER_FILES if (path / name).is_file()), None)
    if file is None:
        raise _unfit(path, f"The folder holds none of {', '.join(FOLDER_FILES)}.")
    return file


def _official(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors by their names in the released checkpoints, tied ones once, short tables filled up."""
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
        # A side of s cells has (2 s - 1)^2 steps; the released code fills missing rows with random numbers.
        full = ((round((len(table) - ORIGIN) ** 0.5) + 1) // 2) ** 2 + 1
        if len(rows) < full:
            noise = torch.randn(
                full - len(rows), rows.shape[1], generator=torch.Generator().manual_seed(0)
            )
            named[IMAGE_POSITIONS] = torch.cat([rows, (noise * rows.shape[1] ** -0.5).to(rows)])
    return named


def _read_tensors(file: Path, *, shapes_only: bool = False) -> dict[str, Any]:
    """Read tensors by name; with `shapes_only` they have no content."""
    place = "meta" if shapes_only else "cpu"
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as opened:
                if shapes_only:
                    return {
                        key: torch.empty(opened.get_slice(key).get_shape(), device=place)
                        for key in opened.keys()  # noqa: SIM118
                    }
                return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        with torch.serialization.safe_globals(
            [argparse.Namespace]
        ):  # fairseq's settings: it holds values, and runs nothing
            read = torch.load(file, map_location=place, weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"The file holds more than tensors and plain values: {found[1] if found else 'objects of some program'}."
        fix = "Reading that could run code. Where you trust the file, save its entry `model` alone, as safetensors."
        raise BadWeights(what, fix=fix, where=Place(str(file))) from error
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _unfit(file, f"The file of weights is broken or incomplete: {reason}") from error
    state = read.get("model", read) if isinstance(read, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(one, torch.Tensor) for one in state.values()
    ):
        raise _unfit(file, "The file holds no tensors by name.")
    return state


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _unfit(path: Path, what: str) -> BadWeights:
    fix = "Give a checkpoint of OFA or IFSeg, a folder of the hub port such as OFA-Sys/ofa-base, or one that was tuned here."
    return BadWeights(what, fix=fix, where=Place(str(path)))
