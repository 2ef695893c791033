"""Small images with true masks of which every number is known."""

from __future__ import annotations

import numpy

from ovsskit.datasets.dataset import VOID


def scene(*labels: int, size: tuple[int, int] = (12, 16)) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return an image in bands, one for each label, with its mask; its first row is VOID."""
    height, width = size
    columns = numpy.arange(width) * len(labels) // width
    mask = numpy.tile(numpy.array(labels, "int16")[columns], (height, 1))
    mask[0] = VOID
    image = numpy.stack([mask * 37 % 256, mask * 91 % 256, mask * 53 % 256], -1).astype("uint8")
    return image, mask
