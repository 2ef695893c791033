"""Resize images as the released code of IFSeg does, in OpenCV's fixed-point arithmetic."""

from __future__ import annotations

from typing import Any

from ovsskit._lazy import UInt8, numpy

BITS = 11
"""Weights of neighbours are whole numbers that sum to 2^11."""


def resize(
    pixels: UInt8[numpy.ndarray, "h w 3"], rows: int, columns: int
) -> UInt8[numpy.ndarray, "rows cols 3"]:
    """Resize an image; every pixel blends its four nearest, also where the image shrinks."""
    sides = pixels.shape[:2]
    (left, right, near, far) = _neighbours(sides[1], columns)
    lines = pixels[:, left].astype(numpy.int32) * near[:, None] + pixels[:, right] * far[:, None]
    (above, below, near, far) = _neighbours(sides[0], rows)
    lines >>= 4
    blended = (near[:, None, None] * lines[above] >> 16) + (far[:, None, None] * lines[below] >> 16)
    found: numpy.ndarray = ((blended + 2) >> 2).clip(0, 255).astype(numpy.uint8)
    return found


def _neighbours(old: int, new: int) -> tuple[Any, Any, Any, Any]:
    """Return the two nearest old pixels of every new one, and their weights."""
    places = (numpy.arange(new) + 0.5) * (old / new) - 0.5
    first = numpy.floor(places).astype(int)
    part = numpy.where((first < 0) | (first >= old - 1), 0, places - first).astype(numpy.float32)
    near, far = (numpy.rint(weight * 2**BITS).astype(numpy.int32) for weight in (1 - part, part))
    return first.clip(0, old - 1), (first + 1).clip(0, old - 1), near, far
