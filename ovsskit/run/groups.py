"""Put images into groups that share batches, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ovsskit.engine.values import Image

GROUP_PIXELS = 8_000_000
"""How many pixels the images of a group have together at most, unless one alone has more."""


def grouped(images: Iterable[Image], most: int) -> Iterator[list[Image]]:
    """Yield images in order, in groups of at most `most` images and `GROUP_PIXELS` pixels."""
    group: list[Image] = []
    pixels = 0
    for image in images:
        size = image.size[0] * image.size[1]
        if group and (len(group) == most or pixels + size > GROUP_PIXELS):
            yield group
            group, pixels = [], 0
        group.append(image)
        pixels += size
    if group:
        yield group
