"""Bring the image to a size, and cut out its middle."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, numpy, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image


class CropImage(Stage, writes="resized"):
    """Resize the image until its shorter side has this many pixels, and cut out the square inside.

    Colours are bytes, to the bit those of Pillow; all but `nearest` are antialiased. An image
    whose shorter side has the length keeps its pixels. What is cut off is not labelled: say
    `crop = false` to keep all of it, in proportion.
    Source: ReCo, released code (320 pixels, nearest; 224, bilinear, for its archive); TIPSv2,
    released notebook (448, bicubic).

    Example:
        [[stage]]
        use = "crop_image"
        short_side = 320
        crop = false
    """

    waits: ClassVar[str] = "Pillow resizes images on the processor, as in the released code"

    short_side: Annotated[
        int, Field(ge=16, description="length of the shorter side, in pixels")
    ] = 320
    interpolation: Annotated[
        Literal["nearest", "bilinear", "bicubic"],
        Field(description="how pixels are made of those around them"),
    ] = "nearest"
    crop: Annotated[bool, Field(description="cut out the square in the middle")] = True

    def run(self, image: Image) -> Image:
        """Return the resized image, or the square inside."""
        data = self._resize(image)
        if not self.crop:
            return replace(image, data=data)
        # halves are rounded to even numbers, as Python does
        top, left = (round((side - self.short_side) / 2) for side in data.shape[1:])
        square = data[:, top : top + self.short_side, left : left + self.short_side]
        return replace(image, data=square.contiguous())

    def _resize(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        from PIL import Image as Pillow

        short, long = min(image.size), max(image.size)
        if short == self.short_side:
            return image.data
        height, width = (
            self.short_side if side == short else int(self.short_side * long / short)
            for side in image.size
        )
        how = Pillow.Resampling[self.interpolation.upper()]
        pixels = Pillow.fromarray(image.pixels.cpu().numpy())
        resized = numpy.array(pixels.resize((width, height), how))
        return torch.from_numpy(resized).permute(2, 0, 1).to(image.data) / 255
