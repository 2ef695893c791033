"""Blur maps with a Gaussian."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import Float, kornia, torch
from ovsskit.engine.devices import in_float64
from ovsskit.engine.sending import send
from ovsskit.engine.stage import S, Stage

TRUNCATE = 4.0
"""The kernel ends after this many standard deviations, as SciPy's does."""


class GaussianBlur(Stage, writes="scores"):
    """Blur every map with a Gaussian whose width follows the image's size.

    Borders are mirrored, edge included.
    Equal to `scipy.ndimage.gaussian_filter`. Source: PnP-OVSS, released code (0.05 of the longer
    side).

    Example:
        [[stage]]
        use = "gaussian_blur"
        sigma = 0.02
    """

    sigma: Annotated[
        float, Field(ge=0, le=1, description="standard deviation as a fraction of the longer side")
    ] = 0.05

    def run(self, scores: S) -> S:
        """Return the maps, blurred."""
        height, width = scores.data.shape[1:]
        sigma = self.sigma * max(height, width)
        if sigma == 0:
            return scores
        maps = in_float64(scores.data)  # in which a constant map stays constant to the last bit
        vertical, horizontal = (blur_matrix(size, sigma, maps.device) for size in (height, width))
        once = (vertical @ maps).to(scores.data.dtype)
        blurred = (once.double() @ horizontal.T).to(scores.data.dtype)
        return scores.with_data(blurred.to(scores.data.device))


@lru_cache(maxsize=2)
def blur_matrix(size: int, sigma: float, device: torch.device) -> Float[torch.Tensor, "size size"]:
    """Return the matrix that blurs a line of pixels, in float64.

    A matrix holds the mirrored border however wide the kernel is, and multiplies faster than a wide
    kernel convolves.
    The next image is often as large as this one.
    """
    radius = int(TRUNCATE * sigma + 0.5)
    kernel = kornia.filters.get_gaussian_kernel1d(2 * radius + 1, sigma, dtype=torch.float64)[0]
    sources = (torch.arange(size)[:, None] + torch.arange(-radius, radius + 1)).remainder(2 * size)
    mirrored = torch.where(sources < size, sources, 2 * size - 1 - sources)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return send(matrix.scatter_add_(1, mirrored, kernel.expand(size, -1)), device)
