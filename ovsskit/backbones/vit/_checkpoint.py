"""What the checkpoints of vision transformers with a linear head hold, which `distil` wrote."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from ovsskit.backbones._segmenter_family import Configuration, Family
from ovsskit.errors import refusal


class VitShape(Configuration):
    """Give the shape of a `config.json`; what it leaves out is that of the packaged tiny CLIP.

    `trained_side` is the side, in pixels, of the images that the position embeddings are for;
    `norm_before` says that tokens are normalised before the first block, too.
    """

    trained_side: PositiveInt = 112
    patch: PositiveInt = 8
    width: PositiveInt = 128
    layers: PositiveInt = 6
    heads: PositiveInt = 4
    mlp_ratio: float = Field(default=4.0, gt=0, le=16)
    registers: int = Field(default=0, ge=0)
    norm_before: bool = False
    layer_scale: bool = False
    activation: Literal["gelu", "quick_gelu"] = "gelu"
    epsilon: float = Field(default=1e-5, gt=0)

    @model_validator(mode="after")
    def _parts_fit(self) -> VitShape:
        if self.width % self.heads:
            raise refusal(f"{self.heads} heads cannot share a width of {self.width}")
        if self.trained_side % self.patch:
            raise refusal(f"patches of {self.patch} do not fill a side of {self.trained_side}")
        return self


def build(configuration: VitShape, classes: int) -> Any:
    """Return a network with maps of so many classes, whose weights are random."""
    from ovsskit.backbones.vit._network import LinearSegmenter

    return LinearSegmenter(**configuration.shape, classes=classes)


VIT = Family(
    "vision transformer with a linear head",
    VitShape,
    build,
    (),
    marks=(r"^encoder\.patch_embed\.proj\.weight$", r"^classifier\.weight$"),
    unread="",
    encoder="encoder.",
)
