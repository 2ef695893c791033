"""Read true masks whose numbers or colours a table or a file of classes explains."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Protocol, runtime_checkable

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.class_file import ClassFile
from ovsskit.datasets.dataset import VOID, Facts
from ovsskit.datasets.masks import read_colours, read_mask
from ovsskit.datasets.numbering import Numbering

IGNORED = (255,)
"""The numbers of pixels that count nowhere, as in most data sets, unless a class has them."""


@runtime_checkable
class ReadTruth(Protocol):
    """Read a true mask from a path, or from an open file that comes from `where`."""

    def __call__(self, source: Path | BytesIO, where: str = "") -> Int[numpy.ndarray, "h w"]:
        """Read it.

        Raises:
            BadFile: it cannot be read, or holds what stands for no class.
        """


def read_numbers(
    numbering: Numbering, source: Path | BytesIO, where: str = ""
) -> Int[numpy.ndarray, "h w"]:
    """Read a true mask whose pixel values are numbers; see `ReadTruth`."""
    return numbering.translate(read_mask(source, where), where or str(source))


def truth_reader(file: ClassFile, ignore: Sequence[int] = IGNORED) -> ReadTruth:
    """Return what reads the masks that a file of classes explains."""
    numbers = dict.fromkeys(() if file.by_colour else ignore, VOID)
    numbers |= dict.fromkeys(file.void, VOID)
    numbers |= {number: label for label, number in enumerate(file.numbers)}
    numbering = Numbering(numbers, by_colour=file.by_colour)
    return partial(_read_coloured if file.by_colour else read_numbers, numbering)


def facts_from(file: ClassFile, title: str) -> Facts:
    """Return the facts of a data set of which a file of classes says all that is known."""
    return Facts(title, title, file.names, file.palette, file.background, file.words)


def _read_coloured(
    numbering: Numbering, source: Path | BytesIO, where: str = ""
) -> Int[numpy.ndarray, "h w"]:
    red, green, blue = numpy.moveaxis(read_colours(source, where).astype("int32"), -1, 0)
    return numbering.translate((red << 16) + (green << 8) + blue, where or str(source))
