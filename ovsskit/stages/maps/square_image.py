"""Bring the image to a square."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, numpy, torch
from ovsskit.engine.sending import send
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image
from ovsskit.stages.maps.resize_image import resize_bytes


class SquareImage(Stage, writes="resized"):
    """Resize the image to a square, whatever its proportions.

    Colours are bytes: those of Pillow, with its antialiasing (`bicubic`), or those of OpenCV, which
    has none (`bilinear`, `nearest`).
    Source: GEM, released code (448 pixels, bicubic); CLIP-DIY, released code (256 pixels, bilinear
    in the evaluation, nearest in the demo).

    Example:
        [[stage]]
        use = "square_image"
        side = 336
    """

    waits: ClassVar[str] = "Pillow resizes on the processor, as the released code does"

    side: Annotated[int, Field(ge=1, description="length of the sides, in pixels")] = 448
    interpolation: Annotated[
        Literal["bicubic", "bilinear", "nearest"],
        Field(description="how pixels of the square are made of those around them"),
    ] = "bicubic"

    def run(self, image: Image) -> Image:
        """Return the square image."""
        return replace(image, data=self._resize(image))

    def _resize(self, image: Image) -> Float[torch.Tensor, "3 side side"]:
        if self.interpolation == "bilinear":
            return resize_bytes(image.data, (self.side, self.side))
        if self.interpolation == "nearest":
            places = torch.arange(self.side, device=image.data.device)
            rows, columns = (places * side // self.side for side in image.size)
            return image.data[:, rows[:, None], columns]
        return resize_bicubic(image, (self.side, self.side))


def resize_bicubic(image: Image, size: tuple[int, int]) -> Float[torch.Tensor, "3 h w"]:
    """Return an image at a height and width as Pillow resizes it; colours are bytes, 0 to 1."""
    from PIL import Image as Pillow

    resized = Pillow.fromarray(image.pixels.cpu().numpy()).resize(
        size[::-1], Pillow.Resampling.BICUBIC
    )
    return send(torch.from_numpy(numpy.array(resized)), image.data.device).permute(2, 0, 1) / 255
