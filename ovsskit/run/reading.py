"""Read images one after the other; those that cannot be read are left out, which is said."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import Reading
from ovsskit.engine.values import Image
from ovsskit.errors import BadImage, NoImages

log = logging.getLogger(__name__)


def read_each(images: Sequence[Path], reading: Reading) -> Iterator[Image]:
    """Yield the images that can be read, and say which cannot.

    Raises:
        NoImages: none can be read.
    """
    left_out = []
    for path in images:
        try:
            image = read_image(path, reading)
        except BadImage as error:
            left_out.append(f"{path} is left out: {error.what}")
            log.warning("%s", left_out[-1])
        else:
            yield image
    if len(left_out) == len(images):
        raise NoImages("No image can be read.", there="\n  ".join(left_out[:5]))
