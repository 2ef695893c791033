"""Enlarge the image until windows that move in steps fill it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image


class FillWindows(Stage, writes="resized"):
    """Enlarge the image bilinearly until both sides are multiples of the stride of windows.

    The longer side becomes the next multiple, the shorter follows in proportion and becomes the
    next multiple, too; neither stays below the window. Proportions change by up to a stride. An
    image whose sides are multiples stays as it is, even if it is smaller than the window.
    Source: RADSeg (arXiv 2511.19704), released code.

    Example:
        [[stage]]
        use = "fill_windows"
        window = 336
        stride = 224
    """

    window: Annotated[int, Field(ge=0, description="least side of what is enlarged, in pixels")] = (
        336
    )
    stride: Annotated[
        int, Field(ge=1, description="what the sides become multiples of, in pixels; 1: no change")
    ] = 224

    def run(self, image: Image) -> Image:
        """Return the enlarged image."""
        size = self.size_of(*image.size)
        if size == image.size:
            return image
        data = torch.nn.functional.interpolate(image.data[None], size, mode="bilinear")
        return replace(image, data=data[0])

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after it, of an image of this size."""
        if height % self.stride == 0 and width % self.stride == 0:
            return height, width
        longer = max(height, width)
        target = self._next(longer)
        rows, columns = (self._next(int(side * target / longer)) for side in (height, width))
        return max(rows, self.window), max(columns, self.window)

    def _next(self, side: int) -> int:
        return -(-side // self.stride) * self.stride
