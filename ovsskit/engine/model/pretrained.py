"""What a backbone with weights is: where they come from, and the network that is read of them."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast

from pydantic import Field, PrivateAttr, field_validator

from ovsskit._lazy import torch
from ovsskit.engine.devices import choose_precision
from ovsskit.engine.model.backbone import Backbone
from ovsskit.engine.readable import note_untrained
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadWeights, Place, refusal
from ovsskit.files.digests import digest_files, digest_path
from ovsskit.files.reading import why_no_path
from ovsskit.hub.weights import (
    ANY,
    EMBEDDED,
    HubFiles,
    Published,
    WeightsInfo,
    commit_of,
    describe_published,
    describe_weights,
    find_weights,
    need_weights,
    read_files,
    refuse_to_fetch,
)

P = TypeVar("P", bound="PretrainedBackbone")

COMPILER = "inductor"
"""What torch compiles with: on processors it needs a C++ compiler, on GPUs Triton."""


class PretrainedBackbone(Backbone):
    """Describe a model with weights: which, at which size and precision.

    The network is read at first use.
    """

    embedded: ClassVar[Path] = Path()
    hub_files: ClassVar[HubFiles] = ANY
    compiles: ClassVar[str] = ""
    """A regular expression of the names of modules that torch may compile: those of blocks."""
    published: ClassVar[Mapping[str, Published]] = {}
    """What is known of published checkpoints, by what recipes call them."""

    weights: Annotated[
        str, Field(description="a hub id, a local folder, a local checkpoint, or `embedded`")
    ]
    revision: Annotated[
        str,
        Field(
            description="commit, tag or branch of the hub repository; if empty, the commit that is "
            "known, else `main`"
        ),
    ] = ""
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "auto"],
        Field(
            description="number format of the network; `auto`: bf16 where the device computes in "
            "it itself, else fp32"
        ),
    ] = "fp32"

    _compiled: bool = PrivateAttr(default=False)

    @field_validator("weights")
    @classmethod
    def _can_be_a_path(cls, weights: str) -> str:
        if reason := why_no_path(weights):
            raise refusal(f"no file or repository has such a name: {reason}")
        return weights

    def to(self: P, device: str) -> P:
        """Return the same backbone on another device, which reads its network anew."""
        moved = super().to(device)
        moved._compiled = self._compiled
        if "digest" in self.__dict__:  # to take it again would read all weights
            moved.__dict__["digest"] = self.digest
        return moved

    def settle_on(self, device: str) -> dict[str, Any]:
        """Return the precision, if it is left to the device."""
        return {"precision": choose_precision(device)} if self.precision == "auto" else {}

    @property
    def source(self) -> str:
        """Return where the weights come from: a hub id, a local path, or `embedded`."""
        return self.weights

    @property
    def pinned(self) -> str:
        """Return the commit, tag or branch that is meant of the hub repository."""
        known = self.published.get(self.source)
        return self.revision or (known.commit if known is not None else "") or "main"

    def describe_weights(self, *, ask_hub: bool = True) -> WeightsInfo:
        """Say where the weights are, whether they are here, their size and their licence.

        Without `ask_hub` the network is not used, and only what is known beforehand is said.
        """
        known = self.published.get(self.source)
        if known is not None and self._is_elsewhere():
            return describe_published(self.source, known)
        info = describe_weights(
            self.source, self.pinned, self.embedded, self.hub_files, ask_hub=ask_hub
        )
        return (
            info
            if known is None
            else replace(info, published=known, licence=info.licence or known.licence)
        )

    def describe_parts(self) -> list[WeightsInfo]:
        """Say of every file that a field names beside the weights what is known of it."""
        return []

    def need_weights(self) -> Path:
        """Return the file or folder of the weights, fetched from the hub if they are not here.

        Raises:
            MissingWeights: they are neither local nor downloadable.
            BadWeights: a file in the hub's cache has another content than the hub's.
        """
        if self._is_elsewhere():
            known = self.published[self.source]
            needs_tokenizer = bool(self.hub_files.tokenizer)
            raise refuse_to_fetch(self.source, known, with_tokenizer=needs_tokenizer)
        return need_weights(self.source, self.pinned, self.embedded, self.hub_files)

    def find_weights(self) -> Path | None:
        """Return the file or folder of the weights if they are on this machine."""
        return find_weights(self.source, self.pinned, self.embedded, self.hub_files)

    def read_files(self) -> dict[str, Path]:
        """Return the files that the model is made of, by name: weights, and what is beside them.

        Raises:
            MissingWeights: they are neither local nor downloadable.
        """
        return read_files(self.need_weights(), self.hub_files)

    def describe_content(self) -> dict[str, Any]:
        """Return the digest of all files that it is made of.

        Raises:
            MissingWeights: they are neither local nor downloadable.
            BadWeights: a file in the hub's cache has another content than the hub's.
        """
        return {"digest": self.digest}

    @cached_property
    def digest(self) -> str:
        """Return the digest of all files that it is made of; it is taken once."""
        return digest_files(self.read_files())

    def describe_files(self) -> dict[str, Any]:
        """Return where the weights come from, their commit on the hub, and digests of all files."""
        files = {name: digest_path(file) for name, file in self.read_files().items()}
        return {"source": self.source, "commit": commit_of(self.need_weights()), "files": files}

    def _is_elsewhere(self) -> bool:
        """Return whether the weights are known to be neither local nor on the hub."""
        known = self.published.get(self.source)
        return known is not None and not known.is_on_hub and not Path(self.source).exists()

    def convert_weights(self, file: Path) -> None:
        """Write an original checkpoint as safetensors, with what this backbone reads of it alone.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        what = (
            f"`{self.source}` cannot be converted: this backbone reads no checkpoints but those of "
            "its own format."
        )
        raise BadWeights(what, where=Place(str(file)))

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by names and shapes of tensors, or leave it to `load`.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Refuse words as every backbone does, and note those that a tiny model does not know."""
        from ovsskit.embedded import CLASSES

        super().check_vocabulary(vocabulary)
        if self.is_embedded:
            note_untrained(self.words_of(vocabulary), CLASSES)

    def knows_word(self, word: str) -> bool:
        """Say whether the model reads all of a word; of a tiny model, whether it was trained on it.

        Words of a tiny model are few, and pieces of others mean nothing to it.
        """
        from ovsskit.embedded import CLASSES

        known = not self.is_embedded or word.casefold() in CLASSES
        return known and super().knows_word(word)

    @property
    def is_embedded(self) -> bool:
        """Say whether the weights are of a tiny model that comes with the package."""
        return self.weights.partition(":")[0] == EMBEDDED

    @property
    def number_format(self) -> Literal["fp32", "bf16", "fp16"]:
        """Return the precision, chosen for the device if it is left to it."""
        return choose_precision(self._device) if self.precision == "auto" else self.precision

    @property
    def dtype(self) -> Any:
        """Return the torch number format of the network."""
        formats = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        return formats[self.number_format]

    def compiled(self: P) -> P:
        """Return the same backbone, whose blocks torch compiles when they first run.

        Compiled blocks add in another order, so that the last bits differ.
        """
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        other: Any = type(self).model_construct(set(self.model_fields_set), **settings)
        other._device, other._compiled = self._device, True
        return cast("P", other)

    @cached_property
    def network(self) -> Any:
        """Return the network on the backbone's device, to be evaluated without gradients."""
        return self.ready(self.load().to(device=self._device, dtype=self.dtype))

    def ready(self, network: Any) -> Any:
        """Return a network as it runs: evaluated without gradients, and compiled if it shall be."""
        network.eval().requires_grad_(False)
        if self._compiled:
            for name, module in network.named_modules():
                if self.compiles and re.fullmatch(self.compiles, name):
                    module.compile(backend=COMPILER, dynamic=True)
        return network

    def prepare(self) -> None:
        """Read the network."""
        _ = self.network

    @abstractmethod
    def load(self) -> Any:
        """Read the network from its weights."""
