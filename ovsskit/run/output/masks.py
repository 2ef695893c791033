"""Write label maps as indexed PNG files."""

from __future__ import annotations

from typing import BinaryIO

import PIL.Image

from ovsskit._lazy import Int, numpy
from ovsskit.engine.values import Vocabulary

EIGHT_BITS = 255


def mask_image(labels: Int[numpy.ndarray, "h w"], vocabulary: Vocabulary) -> PIL.Image.Image:
    """Return a label map as an image whose pixel values are the ids of the classes.

    Ids up to 255 give a palette image that shows the colours of the classes; larger ones a grey
    one of 16 bits.
    """
    if max(vocabulary.ids) > EIGHT_BITS:
        return PIL.Image.fromarray(labels.astype("uint16"))
    image = PIL.Image.fromarray(labels.astype("uint8"))
    palette = bytearray(3 * (max(vocabulary.ids) + 1))
    for number, colour in zip(vocabulary.ids, vocabulary.colours, strict=True):
        palette[3 * number : 3 * number + 3] = bytes(colour)
    image.putpalette(bytes(palette))
    return image


def write_mask(file: BinaryIO, labels: Int[numpy.ndarray, "h w"], vocabulary: Vocabulary) -> None:
    """Write a label map of the image's own size as an indexed PNG; see `mask_image`."""
    mask_image(labels, vocabulary).save(file, "PNG")
