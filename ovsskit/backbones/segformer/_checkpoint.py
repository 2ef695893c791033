"""Read SegFormer's checkpoints, those of the hub and those that `ovsskit distil` wrote."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, PositiveInt, model_validator

from ovsskit._lazy import torch, transformers
from ovsskit.backbones._checkpoint import (
    has_marks,
    read_tensors,
    see_fit,
    too_large,
    weights_file,
    write_tensors,
)
from ovsskit.errors import BadWeights, Place, refusal
from ovsskit.files.reading import Unreadable, read_json

NAME = "SegFormer"
FIX = "Give a folder that `ovsskit distil` wrote, or a SegFormer of the hub."
CONFIG = "config.json"
RENAMES = (
    (r"encoder\.patch_embeddings\.(\d+)\.", r"stages.\1.patch_embeddings."),
    (r"encoder\.block\.(\d+)\.", r"stages.\1.blocks."),
    (r"encoder\.layer_norm\.(\d+)", r"stages.\1.layer_norm"),
    (r"attention\.self\.(query|key|value)\b", lambda found: f"attention.{found[1][0]}_proj"),
    (r"attention\.self\.sr\b", "attention.sequence_reduction.sequence_reduction"),
    (r"attention\.self\.layer_norm", "attention.sequence_reduction.layer_norm"),
    (r"attention\.output\.dense", "attention.o_proj"),
    (r"mlp\.dense(\d)", r"mlp.fc\1"),
    (r"layer_norm_1", "layernorm_before"),
    (r"layer_norm_2", "layernorm_after"),
    (r"decode_head\.linear_c\b", "decode_head.linear_projections"),
)
"""From the names of the hub's checkpoints to those of the network, one after the other."""
UNREAD = ("classifier.weight", "classifier.bias", "decode_head.batch_norm.num_batches_tracked")
"""What only trainings, and labels of whole images, look at."""

Sides = list[PositiveInt]


class Configuration(BaseModel, extra="allow"):
    """Give the shape of a `config.json`, as far as it is read here."""

    hidden_sizes: Sides = Field(min_length=4, max_length=4)
    depths: Sides = Field(min_length=4, max_length=4)
    num_attention_heads: Sides = Field(min_length=4, max_length=4)
    sr_ratios: Sides = Field(default=[8, 4, 2, 1], min_length=4, max_length=4)
    mlp_ratios: Sides = Field(default=[4, 4, 4, 4], min_length=4, max_length=4)
    patch_sizes: Sides = Field(default=[7, 3, 3, 3], min_length=4, max_length=4)
    strides: Sides = Field(default=[4, 2, 2, 2], min_length=4, max_length=4)
    decoder_hidden_size: PositiveInt = 256
    id2label: dict[int, str] = {}
    image_size: PositiveInt = 512

    @model_validator(mode="after")
    def _heads_share_width(self) -> Configuration:
        for width, heads in zip(self.hidden_sizes, self.num_attention_heads, strict=True):
            if width % heads:
                raise refusal(f"{heads} heads cannot share a width of {width}")
        return self

    @property
    def shape(self) -> dict[str, Any]:
        """Return what the network is built from."""
        return self.model_dump(
            include=Configuration.model_fields.keys() - {"id2label", "image_size"}
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of classes, in the order of the maps."""
        return tuple(self.id2label[number] for number in sorted(self.id2label))


def recognise(names: Collection[str]) -> str:
    """Return SegFormer's name if tensors of such names are one of it, else an empty text."""
    renamed = [rename(name) for name in names]
    marks = (r"stages\.0\.patch_embeddings\.proj\.", r"stages\.3\.blocks\.0\.layernorm_before\.")
    return NAME if has_marks(renamed, marks) else ""


def rename(name: str) -> str:
    """Return the name in the network of a tensor in a checkpoint."""
    for old, new in RENAMES:
        name = re.sub(old, new, name)
    return name


def read_configuration(path: Path) -> Configuration:
    """Return the configuration that stands beside weights.

    Raises:
        BadWeights: it is missing or broken.
    """
    file = (path if path.is_dir() else path.parent) / CONFIG
    try:
        found: Configuration = read_json(file, Configuration)
    except (OSError, Unreadable) as error:
        what = f"The model's configuration cannot be read: {error}."
        raise BadWeights(what, fix=FIX, where=Place(str(file))) from error
    if large := too_large(found.shape):
        raise unfit(path, f"The configuration says {large}.")
    return found


def build(configuration: Configuration, classes: int, **training: float) -> Any:
    """Return a network with maps of so many classes, whose weights are random.

    Raises:
        ValueError: the numbers describe no network.
    """
    shape = transformers.SegformerConfig(**configuration.shape, num_labels=classes, **training)
    return transformers.SegformerForSemanticSegmentation(shape)


def read_network(path: Path, dtype: Any) -> Any:
    """Return the network of a checkpoint's folder.

    Raises:
        BadWeights: a file is missing or broken, or belongs to another architecture.
    """
    network, state = _read(path, dtype)
    network.load_state_dict(state, strict=False, assign=True)
    return network


def check(path: Path) -> Configuration:
    """Refuse weights by the names and shapes of tensors; return their configuration.

    Raises:
        BadWeights: they do not fit.
    """
    _read(path, shapes_only=True)
    return read_configuration(path)


def convert(path: Path, file: Path) -> None:
    """Write what is read of a checkpoint as safetensors, and a copy of its configuration.

    Raises:
        BadWeights, BadOutput, CannotWrite: the weights do not fit, or the files cannot be written.
    """
    _, state = _read(path)
    write_tensors(file, state, [(path if path.is_dir() else path.parent) / CONFIG])


def read_encoder(path: Path, network: Any) -> list[str]:
    """Give a network the encoder of a checkpoint, and return the names of what it gave.

    Raises:
        BadWeights: it is the encoder of another network.
    """
    tensors = _tensors(path, None, shapes_only=False)
    mine = {name: one for name, one in network.state_dict().items() if name.startswith("segformer")}
    # A checkpoint of the encoder alone may name it without what a whole network puts before.
    found = {
        name if name.startswith("segformer.") else f"segformer.{name}": one
        for name, one in tensors.items()
    }
    see_fit(found, mine, "a SegFormer", path, FIX)
    network.load_state_dict({name: found[name] for name in mine}, strict=False)
    return sorted(mine)


def unfit(path: Path, what: str, there: str = "") -> BadWeights:
    """Return the error that weights are not those of a SegFormer."""
    return BadWeights(what, there=there, fix=FIX, where=Place(str(path)))


def _tensors(path: Path, dtype: Any, *, shapes_only: bool) -> dict[str, Any]:
    tensors = read_tensors(weights_file(path, FIX), FIX, dtype, shapes_only=shapes_only)
    if not recognise(tensors):
        there = f"They begin with {', '.join(sorted(tensors)[:3])}."
        raise unfit(path, "These weights are not those of a SegFormer.", there)
    return {rename(name): one for name, one in tensors.items()}


def _read(
    path: Path, dtype: Any = None, *, shapes_only: bool = False
) -> tuple[Any, dict[str, Any]]:
    """Return the empty network and its tensors."""
    tensors = _tensors(path, dtype, shapes_only=shapes_only)
    configuration = read_configuration(path)
    if not configuration.class_names:
        raise unfit(path, "The configuration names no classes: these weights segment nothing.")
    try:
        with torch.device("meta"):
            network = build(configuration, len(configuration.class_names)).eval()
    except (ArithmeticError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise unfit(path, f"The configuration describes no SegFormer: {reason}") from error
    needed = {name: one for name, one in network.state_dict().items() if name not in UNREAD}
    see_fit(tensors, needed, "a SegFormer", path, FIX)
    return network, {name: tensors[name] for name in needed}
