"""Make the image's sides multiples of the patch."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit.engine.sending import send_numbers
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image

Byte = Annotated[float, Field(ge=0, le=255)]


class PadImage(Stage, writes="padded"):
    """Pad the image with one colour, below and on the right, until both sides are multiples.

    With the mean that the network subtracts as colour, the network sees zeros there.
    Source: MaskCLIP, released code, which so pads to multiples of the patch instead of dropping
    what is left over.

    Example:
        [[stage]]
        use = "pad_image"
        multiple = 16
    """

    multiple: Annotated[
        int, Field(ge=1, description="what the sides become multiples of, in pixels")
    ] = 16
    colour: Annotated[
        tuple[Byte, Byte, Byte], Field(description="red, green and blue, 0 to 255")
    ] = (123.675, 116.28, 103.53)

    def run(self, image: Image) -> Image:
        """Return the padded image."""
        height, width = (-(-side // self.multiple) * self.multiple for side in image.size)
        data = (send_numbers(self.colour, image.data) / 255)[:, None, None].repeat(1, height, width)
        data[:, : image.size[0], : image.size[1]] = image.data
        return replace(image, data=data)
