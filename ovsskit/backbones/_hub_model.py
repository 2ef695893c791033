"""What models of transformers share: how network and image processor are read from a folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import torch, transformers
from ovsskit.backbones._checkpoint import FOLDER_FILES, has_marks
from ovsskit.backbones._hub_network import read_hub_network
from ovsskit.engine.model import PretrainedBackbone
from ovsskit.engine.values import Image
from ovsskit.errors import BadWeights, Place
from ovsskit.hub.weights import HubFiles


class HubModel(PretrainedBackbone):
    """Read a network of transformers, and what prepares its images, from a folder of the hub."""

    hub_files: ClassVar[HubFiles] = HubFiles(
        FOLDER_FILES, config="config.json", beside=("preprocessor_config.json",)
    )
    called: ClassVar[str]
    """What people call the model."""
    marks: ClassVar[tuple[str, ...]]
    """Patterns of the names of its tensors."""
    network_class: ClassVar[str]
    processor_class: ClassVar[str]
    preparation: ClassVar[dict[str, Any]] = {}
    """How images are prepared where no file says so."""

    weights: Annotated[str, Field(description="a hub id, or a local folder in its format")]

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return the model's name if tensors of such names are one of it, else an empty text."""
        return cls.called if has_marks(names, cls.marks) else ""

    def load(self) -> Any:
        """Read the network from its folder.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        fix = f"Give a folder in the format of the hub, such as {next(iter(self.published))}."
        folder = self.need_weights()
        return read_hub_network(folder, self.network_class, self.dtype, self.called, fix)

    def check_weights(self) -> None:
        """Refuse weights that do not fit.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        self.load()

    @cached_property
    def processor(self) -> Any:
        """Return what prepares images, as the folder says or as published.

        Raises:
            MissingWeights, BadWeights: there are none, or what the folder says cannot be read.
        """
        kind = getattr(transformers, self.processor_class)
        file: Path = self.need_weights() / "preprocessor_config.json"
        if not file.is_file():
            return kind(**self.preparation)
        try:
            return kind.from_pretrained(str(file.parent), local_files_only=True)
        except Exception as error:  # it raises whatever it stumbles over
            reason = " ".join(str(error).split())[:300]
            what = f"This does not say how images are prepared for {self.called}."
            raise BadWeights(what, there=reason, where=Place(str(file))) from error

    def prepare(self) -> None:
        """Read the network, and what prepares its images."""
        super().prepare()
        _ = self.processor

    def prepare_images(self, images: Sequence[Image], **options: Any) -> Any:
        """Return what the network reads of images, on its device and in its precision.

        `options` stand in for what the image processor does otherwise.
        """
        pixels = [(image.data * 255).round().to(torch.uint8).cpu() for image in images]
        made = self.processor(images=pixels, return_tensors="pt", do_rescale=True, **options)
        made["pixel_values"] = made["pixel_values"].to(self._device, self.dtype)
        return made
