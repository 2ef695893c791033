"""The settings of a CLIP: which it is, and how its images are prepared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ovsskit.backbones._colours import Colour
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._weights import architectures
from ovsskit.engine.model import PretrainedBackbone
from ovsskit.errors import did_you_mean, refusal


class ClipSettings(PretrainedBackbone):
    """Hold what recipes say of a CLIP."""

    weights: Annotated[
        str,
        Field(
            description=(
                "a tag of open_clip, a hub id, a local folder, a local checkpoint, or `embedded`"
            )
        ),
    ]
    model: Annotated[
        str,
        Field(
            description=(
                "architecture as open_clip names it; empty where a configuration lies with the "
                "weights"
            )
        ),
    ] = ""
    positions: Annotated[
        vision.Positions,
        Field(
            description=(
                "how position embeddings are resized to other grids: bicubic by scale, with 0.1 "
                "patches added (most methods), to the size (MaskCLIP), to the size also where as "
                "many patches lie otherwise (TCL), or to the size with "
                "antialiasing (GEM); bilinear and rounded to half precision (TagCLIP), to the grid "
                "of the training, too (CLIP-ES)"
            )
        ),
    ] = "scale"
    mean: Annotated[
        Colour,
        Field(
            description="red, green and blue to subtract, on a scale to 255; the model's if empty"
        ),
    ] = ()
    deviation: Annotated[
        Colour, Field(description="red, green and blue to divide by, to 255; the model's if empty")
    ] = ()
    activation: Annotated[
        Literal["trained", "gelu", "quick_gelu"],
        Field(description="of the feed-forward parts: as trained, or another"),
    ] = "trained"
    epsilon: Annotated[float, Field(gt=0, description="of the image encoder's layer norms")] = 1e-5
    skip_last_blocks: Annotated[
        int,
        Field(
            ge=0,
            description=(
                "how many blocks at the end are left out for whole images: 1 for CaR's judge, as "
                "released"
            ),
        ),
    ] = 0

    @field_validator("model")
    @classmethod
    def _is_an_architecture(cls, model: str) -> str:
        known = architectures()
        if model and model not in known:
            fix = did_you_mean(model, known) or "Those with patches are the ViTs, such as ViT-B-16."
            raise refusal("open_clip has no such architecture", fix)
        return model
