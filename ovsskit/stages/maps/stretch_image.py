"""Make the image's sides multiples of the patch, by stretching it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image
from ovsskit.stages.maps.square_image import resize_bicubic


class StretchImage(Stage, writes="resized"):
    """Enlarge the image bicubically until both sides are multiples, each for itself.

    Nothing of the image is left out, and its proportions change by less than a patch.
    Source: CLIP-ES and TagCLIP, released code (16 pixels).

    Example:
        [[stage]]
        use = "stretch_image"
        multiple = 16
    """

    waits: ClassVar[str] = "Pillow resizes on the processor, as the released code does"

    multiple: Annotated[
        int, Field(ge=1, description="what the sides become multiples of, in pixels")
    ] = 16

    def run(self, image: Image) -> Image:
        """Return the stretched image; one whose sides are multiples is left as it is."""
        height, width = (-(-side // self.multiple) * self.multiple for side in image.size)
        if image.size == (height, width):
            return image
        return replace(image, data=resize_bicubic(image, (height, width)))
