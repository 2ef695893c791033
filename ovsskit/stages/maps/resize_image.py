"""Bring the image to the size at which a method looks at it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.sending import send
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image
from ovsskit.errors import BadImage

NARROWEST = 16
"""Pixels that the shorter side must have at least: the width of one patch of most encoders."""

ONE = 2048
"""A weight of 1 in whole numbers."""


class ResizeImage(Stage, writes="resized"):
    """Resize the image bilinearly, in proportion, until its shorter side has this many pixels.

    The longer side stays within `longer_side`, so that the shorter may become less than asked for.
    Colours are bytes, to the bit those that OpenCV's `resize` gives (`INTER_LINEAR`): the weights
    are multiples of 1/2048.
    Source: MMCV, with which the codes of ITACLIP, SCLIP, NACLIP, ClearCLIP and MaskCLIP resize.

    Example:
        [[stage]]
        use = "resize_image"
        short_side = 448
    """

    version: ClassVar[int] = 2

    short_side: Annotated[
        int, Field(ge=NARROWEST, description="length of the shorter side, in pixels")
    ] = 336
    longer_side: Annotated[
        int, Field(ge=NARROWEST, description="greatest length of the longer side, in pixels")
    ] = 2048

    def run(self, image: Image) -> Image:
        """Return the resized image.

        Raises:
            BadImage: it is so long and narrow that less than a patch is left of its shorter side.
        """
        scale = min(self.longer_side / max(image.size), self.short_side / min(image.size))
        height, width = (int(side * scale + 0.5) for side in image.size)
        if min(height, width) < NARROWEST:
            what = (
                f"It is {image.size[1]} x {image.size[0]} pixels: at {width} x {height}, as the "
                "recipe resizes it, nothing would be left."
            )
            raise BadImage(what, fix="Cut it into pieces, or raise resize_image.longer_side.")
        return replace(image, data=resize_bytes(image.data, (height, width)))


def resize_bytes(
    image: Float[torch.Tensor, "3 h w"], size: tuple[int, int]
) -> Float[torch.Tensor, "3 rows cols"]:
    """Resize an image bilinearly in OpenCV's integers; colours are bytes, scaled to 0 to 1."""
    pixels = (image * 255).round().int()
    first, second, weights = neighbours(image.shape[2], size[1])
    ends = (
        first == second
    )  # along rows a pixel at the end stands alone; along columns it is added to itself
    left, right = send(weights.where(~ends, ONE * torch.tensor([[1], [0]])), pixels.device)
    first, second = send(first, pixels.device), send(second, pixels.device)
    rows = (pixels[:, :, first] * left + pixels[:, :, second] * right) >> 4
    first, second, weights = neighbours(image.shape[1], size[0])
    upper, lower = send(weights[:, :, None], pixels.device)
    first, second = send(first, pixels.device), send(second, pixels.device)
    mixed = ((rows[:, first] * upper) >> 16) + ((rows[:, second] * lower) >> 16)
    resized: torch.Tensor = ((mixed + 2) >> 2).to(image.dtype) / 255
    return resized


def neighbours(
    length: int, target: int
) -> tuple[Int[torch.Tensor, " place"], Int[torch.Tensor, " place"], Int[torch.Tensor, "2 place"]]:
    """Return the two pixels around each place of a resized side, and their weights in 2048ths."""
    steps = torch.arange(target, dtype=torch.float64)
    places = ((steps + 0.5) * (length / target) - 0.5).float()
    share = places - places.floor()
    first = places.floor().long()
    weights = torch.stack([1 - share, share]).mul(ONE).round().int()
    return first.clamp(0, length - 1), (first + 1).clamp(0, length - 1), weights
