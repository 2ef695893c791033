"""Draw what is true, and where something else was found."""

from __future__ import annotations

import PIL.Image

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.colours import BLACK
from ovsskit.engine.values import Vocabulary
from ovsskit.run.output.overlay import tint_image

ERRORS = Vocabulary(
    ("wrong", "not counted"), (0, 1, 2), (BLACK, (225, 30, 30), (70, 90, 200)), "right"
)
LEGEND = "red is wrong, blue is not counted"


def tint_errors(
    image: PIL.Image.Image, truth: Int[numpy.ndarray, "h w"], found: Int[numpy.ndarray, "h w"]
) -> PIL.Image.Image:
    """Mark in a grey image where the found class is wrong, and where the true one is not known.

    Both hold numbers of classes; a true one below 0 is not known.
    """
    wrong = numpy.where(truth < 0, 2, truth != found)
    return tint_image(image.convert("L").convert("RGB"), wrong, ERRORS)


def tint_classes(
    image: PIL.Image.Image,
    numbers: Int[numpy.ndarray, "h w"],
    vocabulary: Vocabulary,
    background: int | None,
) -> PIL.Image.Image:
    """Tint the classes of an image, but not the background, nor where the number is below 0.

    The class of number i is the i-th name of the vocabulary, with the id i + 1.
    """
    labels = numpy.where(numbers == background, 0, numbers + 1)
    return tint_image(image, labels, vocabulary)
