"""The networks that a recipe may teach, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from ovsskit._lazy import Float, torch
from ovsskit.backbones._segmenter import Segmenter
from ovsskit.backbones._segmenter_family import Configuration
from ovsskit.backbones.deeplab import _sizes as deeplab
from ovsskit.backbones.deeplab._checkpoint import DeepLabShape
from ovsskit.backbones.deeplab.deeplab import Deeplab
from ovsskit.backbones.segformer import _sizes as segformer
from ovsskit.backbones.segformer.segformer import Segformer
from ovsskit.backbones.vit._checkpoint import VitShape
from ovsskit.backbones.vit.vit_linear import VitLinear

StudentName = Literal[
    "segformer-tiny",
    "segformer-b0",
    "segformer-b1",
    "segformer-b2",
    "segformer-b3",
    "segformer-b4",
    "segformer-b5",
    "deeplab-tiny",
    "deeplab-r50",
    "deeplab-r101",
    "maskclip_plus",
    "maskclip_plus-r101",
    "vit",
]


@dataclass(frozen=True)
class Student:
    """Hold the backbone that runs a student, the shape of its network, and texts if it reads any.

    `texts` has one vector for each class but the background.
    """

    backbone: type[Segmenter]
    shape: Configuration
    texts: Float[torch.Tensor, "class width"] | None = None

    @property
    def reads_texts(self) -> bool:
        """Tell whether the student's classifier are vectors of texts."""
        return isinstance(self.shape, DeepLabShape) and self.shape.texts

    def at(self, image_size: int) -> Student:
        """Return the student for images of this size."""
        return replace(self, shape=self.shape.model_copy(update={"image_size": image_size}))

    def started_from(self, start: str) -> Student:
        """Return the student for an encoder that starts from weights, or at random without any.

        Raises:
            MissingWeights, BadWeights: the shape is that of the weights, and there are none that
                fit.
        """
        return replace(self, shape=self.backbone.shape_for(self.shape, start)) if start else self

    @property
    def needs_start(self) -> bool:
        """Tell whether the student has the shape of what it starts from."""
        return self.backbone is VitLinear

    def with_texts(self, texts: Float[torch.Tensor, "class width"]) -> Student:
        """Return the student with a classifier of these texts."""
        shape = self.shape.model_copy(update={"head_width": texts.shape[1]})
        return replace(self, shape=shape, texts=texts)

    def build(self, classes: int) -> torch.nn.Module:
        """Return a network for a background and classes, whose weights are random."""
        network: Any = self.backbone.family.build(self.shape, classes)
        if self.texts is not None:
            network.classifier.texts.copy_(self.texts)
        return network  # type: ignore[no-any-return]


def find_student(name: str) -> Student:
    """Return a student by its name."""
    if name == "vit":
        return Student(VitLinear, VitShape())
    if name in segformer.SIZES:
        return Student(Segformer, segformer.SIZES[name])
    return Student(Deeplab, deeplab.SIZES[name])
