"""Bring the picture to the size at which a method looks at it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit.errors import BadPicture
from ovsskit.lazy import torch
from ovsskit.stage import Stage
from ovsskit.values import Image

NARROWEST = 16
"""Pixels that the shorter side must have at least: the width of one patch of most encoders."""


class ResizeImage(Stage, writes="resized"):
    """Resize the picture bilinearly, keeping its proportions, until its shorter side has so many pixels.

    The longer side stays within `longer_side`, so that the shorter may become less than asked for. Colours are rounded to
    whole numbers from 0 to 255, as if the result were stored as a picture.
    Source: ITACLIP, released code (`resize` of its framework, on bytes).
    """

    short_side: Annotated[
        int, Field(ge=NARROWEST, description="length of the shorter side, in pixels")
    ] = 336
    longer_side: Annotated[
        int, Field(ge=NARROWEST, description="greatest length of the longer side, in pixels")
    ] = 2048

    def run(self, image: Image) -> Image:
        """Return the resized picture.

        Raises:
            BadPicture: it is so long and narrow that less than a patch is left of its shorter side.
        """
        scale = min(self.longer_side / max(image.size), self.short_side / min(image.size))
        height, width = (int(side * scale + 0.5) for side in image.size)
        if min(height, width) < NARROWEST:
            what = f"It is {image.size[1]} x {image.size[0]} pixels: at {width} x {height}, as the recipe resizes it, nothing is left to see."
            raise BadPicture(what, fix="Cut it into pieces, or raise resize_image.longer_side.")
        resized = torch.nn.functional.interpolate(
            image.data[None], (height, width), mode="bilinear"
        )[0]
        return replace(image, data=(resized * 255).round() / 255)
