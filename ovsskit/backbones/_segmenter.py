"""What backbones have in common that segment a fixed list of classes, and that `distil` teaches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones._inferred import CONFIG
from ovsskit.backbones._segmenter_family import Configuration, Family
from ovsskit.engine.model import PretrainedBackbone, SegmentsClasses
from ovsskit.engine.model.segments_classes import rows_of
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.hub.weights import HubFiles

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet."""
LEAST = 32
"""The shortest side, in pixels, of which the last stage leaves something."""


class Segmenter(PretrainedBackbone, SegmentsClasses):
    """Segment the classes that a network was trained for: it reads no words."""

    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, config=CONFIG)
    family: ClassVar[Family[Any]]
    transformers: ClassVar[Mapping[str, Any]] = {}
    """What a `config.json` says beside the shape if transformers has such networks."""

    image_size: Annotated[
        int,
        Field(
            ge=0,
            description="length of an image's shorter side, in pixels, whose shape is kept; 0: what"
            " the weights were trained at",
        ),
    ] = 0

    @staticmethod
    @abstractmethod
    def logits(
        network: Any, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image class rows cols"]:
        """Return what the network makes of normalised pixels."""

    @classmethod
    def shape_for(cls, shape: Any, start: str) -> Any:
        """Return the shape of a network that starts from weights; most have their own."""
        return shape

    @classmethod
    def read_encoder(cls, start: str, network: Any) -> list[str]:
        """Give a network's encoder the weights that it starts from; return the tensors' names.

        Raises:
            MissingWeights, BadWeights: there are none, or they are of another encoder.
        """
        return cls.family.read_encoder(cls(weights=start).need_weights(), network)

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return the kind's name if tensors of such names are one of it, else an empty text."""
        return cls.family.recognise(names)

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return self.family.read_network(self.need_weights(), self.dtype)

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        self.family.check(self.need_weights())

    def convert_weights(self, file: Path) -> None:
        """Write the checkpoint as safetensors, and a copy of its configuration.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        self.family.convert(self.need_weights(), file)

    @cached_property
    def configuration(self) -> Configuration:
        """Return what stands beside the weights.

        Raises:
            MissingWeights, BadWeights: there are none, or it is missing or broken.
        """
        return self.family.read_configuration(self.need_weights())  # type: ignore[no-any-return]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes, in the order of the maps."""
        return self.configuration.class_names

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Refuse classes that the network was not trained for.

        Raises:
            BadClasses: there is one.
            MissingWeights, BadWeights: there are none, or the configuration is missing or broken.
        """
        super().check_vocabulary(vocabulary)
        rows_of(vocabulary, self.class_names)

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: resized, and normalised."""
        size = fit_size(image.size, self.image_size or self.configuration.image_size)
        data = torch.nn.functional.interpolate(
            image.data[None], size, mode="bilinear", antialias=True
        )[0]
        return normalise(data)

    def segment_classes(
        self, images: Sequence[Image]
    ) -> list[Float[torch.Tensor, "class rows cols"]]:
        """Return logits of all classes on the network's grid."""
        sizes: dict[tuple[int, ...], list[int]] = {}
        ready = [self.pixels(image) for image in images]
        for index, pixels in enumerate(ready):
            sizes.setdefault(tuple(pixels.shape), []).append(index)
        found: dict[int, Any] = {}
        for indices in sizes.values():
            stacked = torch.stack([ready[index] for index in indices])
            with torch.no_grad():
                logits = self.logits(self.network, stacked.to(self._device, self.dtype))
            found.update(zip(indices, logits.float(), strict=True))
        return [found[index] for index in range(len(images))]


def fit_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Return height and width at which the shorter side has this length."""
    height, width = (max(LEAST, round(side * shorter / min(size))) for side in size)
    return height, width


def normalise(data: Float[torch.Tensor, "*image 3 h w"]) -> Float[torch.Tensor, "*image 3 h w"]:
    """Return colours from 0 to 1 as the network takes them."""
    middle, spread = (data.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    return (data - middle) / spread
