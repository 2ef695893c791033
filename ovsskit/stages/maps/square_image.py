"""Bring the image to a square."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import numpy, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image


class SquareImage(Stage, writes="resized"):
    """Resize the image to a square, whatever its proportions, bicubically and with antialiasing.

    Source: GEM, released code (448 pixels).

    Example:
        [[stage]]
        use = "square_image"
        side = 336
    """

    side: Annotated[int, Field(ge=1, description="length of the sides, in pixels")] = 448

    def run(self, image: Image) -> Image:
        """Return the square image."""
        from PIL import Image as Pillow

        resized = Pillow.fromarray(image.pixels.cpu().numpy()).resize(
            (self.side, self.side), Pillow.Resampling.BICUBIC
        )
        data = torch.from_numpy(numpy.array(resized)).permute(2, 0, 1).to(image.data) / 255
        return replace(image, data=data)
