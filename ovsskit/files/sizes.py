"""Bound how large an image may be; sizes are known before anything is decoded."""

from __future__ import annotations

from ovsskit.errors import BadImage

MAX_PIXELS = 50_000_000
"""The largest image that is read by default (8660 x 5773): half a gigabyte as numbers."""


def see_size(width: int, height: int, max_pixels: int) -> None:
    """See that an image is not too large.

    Raises:
        BadImage: it is.
    """
    if width * height > max_pixels:
        what = f"It is {width} x {height} pixels, more than the {max_pixels:,} that are allowed."
        raise BadImage(what, fix="Resize it, or allow more with --max-pixels.")
