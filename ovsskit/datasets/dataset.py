"""Define what a data set is: its facts, and its images with their true masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.layout import Layout, Split
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.engine.values import Image
from ovsskit.errors import BadFile, Place

VOID = -1
"""What a true mask holds where nothing is known or nothing is to be counted."""


@dataclass(frozen=True)
class Facts:
    """Say what a data set is, whatever folder it lies in.

    `classes` are in the order in which true masks number them, from 0; `background` is the number
    of the one that stands for everything else, if there is one. `coarse` maps the number of every
    class of `coarse_of`, another data set, to one of this. `own_words` maps a class to more words
    by which its own lists call it. `numbers` are those of its classes in its own files, where they
    are not in a row.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    background: int | None = None
    own_words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    coarse_of: str = ""
    coarse: tuple[int, ...] = ()
    numbers: tuple[int | None, ...] = ()
    licence: str = "see homepage"
    homepage: str = ""
    aliases: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ()
    layouts: tuple[Layout, ...] = ()

    @property
    def evaluated(self) -> Split:
        """Return the split on which papers report."""
        return next(one for one in self.splits if one.evaluated)


class Item(ABC):
    """One image of a data set, with its true mask; both are read when they are asked for."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """Return the name of the image, which no other image of the split has."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Return where the image lies, for messages: a path, or a file and a row."""

    @abstractmethod
    def read_image(self, reading: Reading = AS_USUAL) -> Image:
        """Read the image.

        Raises:
            BadImage: it is missing, broken, or has more pixels than are read.
        """

    @abstractmethod
    def read_truth(self) -> Int[numpy.ndarray, "h w"]:
        """Read the true mask: at every pixel the number of a class, or VOID.

        Raises:
            BadFile: it is missing, broken, or holds numbers of no class.
        """


@dataclass(frozen=True)
class Dataset:
    """Hold a split of a data set that was found on disk.

    `layout` names how its files lie; `files` are those that describe the split as a whole (a list
    of images, a file of annotations), whose content distinguishes it beside the names of its items.
    """

    facts: Facts
    split: str
    layout: str
    items: Sequence[Item]
    files: tuple[str, ...] = ()


def check_size(item: Item, truth: Int[numpy.ndarray, "h w"], size: tuple[int, ...]) -> None:
    """See that a true mask is as large as its image, whose height and width are `size`.

    Raises:
        BadFile: it is not.
    """
    if truth.shape == size:
        return
    (height, width), (tall, wide) = truth.shape, size
    what = f"The true mask is {width} x {height} pixels, and the image {wide} x {tall}."
    if (height, width) == (wide, tall):
        fix = "Height and width are swapped: rotate the mask as the image's EXIF tag says."
    else:
        fix = "Give images and masks of the same release; neither is resized here."
    raise BadFile(what, fix=fix, where=Place(item.where))
