"""Read checkpoints of networks that segment a fixed list of classes, those of the hub and ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, PositiveInt

from ovsskit._lazy import torch
from ovsskit.backbones._checkpoint import (
    has_marks,
    read_tensors,
    see_fit,
    too_large,
    weights_file,
    write_tensors,
)
from ovsskit.backbones._inferred import config_beside, see_known, unfit
from ovsskit.files.reading import Unreadable, read_json


class Configuration(BaseModel, extra="allow"):
    """Give what every `config.json` of such a network says: its classes, and its image size."""

    id2label: dict[int, str] = {}
    image_size: PositiveInt = 512

    @property
    def shape(self) -> dict[str, Any]:
        """Return what the network is built from."""
        fields = type(self).model_fields.keys() - Configuration.model_fields.keys()
        return self.model_dump(include=fields)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of classes, in the order of the maps."""
        return tuple(self.id2label[number] for number in sorted(self.id2label))


C = TypeVar("C", bound=Configuration)


@dataclass(frozen=True)
class Family(Generic[C]):
    """Say how networks of a kind are built, and how their checkpoints name tensors.

    `renames` lead from the names of published checkpoints to those of the network, one after the
    other; `marks` are patterns that are found in its names alone; `unread` those of tensors that
    only trainings look at; `encoder` is what the names of its encoder begin with.
    """

    name: str
    configuration: type[C]
    build: Callable[[C, int], Any]
    renames: Sequence[tuple[str, Any]]
    marks: Sequence[str]
    unread: str
    encoder: str

    @property
    def fix(self) -> str:
        """Return what would fix weights that do not fit."""
        return f"Give a folder that `ovsskit distil` wrote, or a {self.name} of the hub."

    def recognise(self, names: Collection[str]) -> str:
        """Return the kind's name if tensors of such names are one of it, else an empty text."""
        return self.name if has_marks([self.rename(name) for name in names], self.marks) else ""

    def rename(self, name: str) -> str:
        """Return the name in the network of a tensor in a checkpoint."""
        for old, new in self.renames:
            name = re.sub(old, new, name)
        return name

    def read_configuration(self, path: Path) -> C:
        """Return the configuration that stands beside weights.

        Raises:
            BadWeights: it is missing or broken.
        """
        file = config_beside(path)
        try:
            found: C = read_json(file, self.configuration)
        except (OSError, Unreadable) as error:
            what = f"The model's configuration cannot be read: {error}."
            raise unfit(file, what, self.fix) from error
        if large := too_large(found.shape):
            raise unfit(path, f"The configuration says {large}.", self.fix)
        return found

    def read_network(self, path: Path, dtype: Any) -> Any:
        """Return the network of a checkpoint's folder.

        Raises:
            BadWeights: a file is missing or broken, or belongs to another architecture.
        """
        network, state = self._read(path, dtype)
        network.load_state_dict(state, strict=False, assign=True)
        return network

    def check(self, path: Path) -> C:
        """Refuse weights by the names and shapes of tensors; return their configuration.

        Raises:
            BadWeights: they do not fit.
        """
        self._read(path, shapes_only=True)
        return self.read_configuration(path)

    def convert(self, path: Path, file: Path) -> None:
        """Write what is read of a checkpoint as safetensors, and a copy of its configuration.

        Raises:
            BadWeights, BadOutput, CannotWrite: the weights do not fit, or the files cannot be
                written.
        """
        _, state = self._read(path)
        write_tensors(file, state, [config_beside(path)])

    def read_encoder(self, path: Path, network: Any) -> list[str]:
        """Give a network the encoder of a checkpoint, and return the names of what it gave.

        Raises:
            BadWeights: it is the encoder of another network.
        """
        tensors = read_tensors(weights_file(path, self.fix), self.fix)
        # A checkpoint of the encoder alone may name it without what a whole network puts before.
        found = {
            name if name.startswith(self.encoder) else f"{self.encoder}{name}": one
            for name, one in ((self.rename(name), one) for name, one in tensors.items())
        }
        mine = {
            name: one
            for name, one in self._needed(network).items()
            if name.startswith(self.encoder)
        }
        see_fit(found, mine, f"a {self.name}", path, self.fix)
        network.load_state_dict({name: found[name] for name in mine}, strict=False)
        return sorted(mine)

    def _needed(self, network: Any) -> dict[str, Any]:
        """Return the tensors of a network that a checkpoint has to hold."""
        state = network.state_dict()
        return {name: one for name, one in state.items() if not re.fullmatch(self.unread, name)}

    def _read(
        self, path: Path, dtype: Any = None, *, shapes_only: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Return the empty network and its tensors."""
        file = weights_file(path, self.fix)
        stored = read_tensors(file, self.fix, dtype, shapes_only=shapes_only)
        see_known(self.recognise(stored), stored, f"a {self.name}", path, self.fix)
        tensors = {self.rename(name): one for name, one in stored.items()}
        configuration = self.read_configuration(path)
        if not configuration.class_names:
            what = "The configuration names no classes: these weights segment nothing."
            raise unfit(path, what, self.fix)
        try:
            with torch.device("meta"):
                network = self.build(configuration, len(configuration.class_names)).eval()
        except (ArithmeticError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            what = f"The configuration describes no {self.name}: {reason}"
            raise unfit(path, what, self.fix) from error
        needed = self._needed(network)
        see_fit(tensors, needed, f"a {self.name}", path, self.fix)
        return network, {name: tensors[name] for name in needed}
