"""Define what a format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple, TypeAlias

from ovsskit.export.classes import ExportClasses
from ovsskit.export.found import Found

Put: TypeAlias = Callable[[str, Callable[[BinaryIO], object]], None]
"""Write a file, named by its path in the folder."""


class Part(NamedTuple):
    """Hold what a format keeps of one image, as plain data for JSON, and where the image lies."""

    name: str
    source: str
    image: str
    kept: dict[str, Any]


@dataclass
class Format(ABC):
    """Turn what was found in images into the files of one tool.

    The first line of a format's docstring says what it is for. Outlines may deviate from pixels by
    about `simplify` pixels. Images come one at a time, and all
    that outlives one is what `write` returns: an export of any length takes the same memory.
    """

    classes: ExportClasses
    title: str
    simplify: float = 0.0

    reads: ClassVar[Literal["masks", "scores"]] = "masks"
    image_folder: ClassVar[str] = "images"
    """Where copies of and links to images go."""
    wants_images: ClassVar[bool] = False
    """Whether the tool looks for the images beside what is written here."""
    images_as_stored: ClassVar[bool] = False
    """Whether copies of images keep all their bands, and their place on earth."""
    reads_images: ClassVar[bool] = False
    """Whether the format reads the images themselves."""
    by_strips: ClassVar[bool] = False
    """Whether the format holds some rows of a mask at a time, and takes rasters of any size."""
    simplifies: ClassVar[bool] = False
    """Whether the format has outlines that can be simplified."""

    def check(self) -> None:
        """Check that the format can hold these classes, and that its packages are there.

        Raises:
            BadValue: it cannot.
            MissingExtra: a package is missing.
        """
        return

    @abstractmethod
    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write the files of one image; return what the files of the whole need of it.

        `losses` in it counts what the format could not hold of this image.

        Raises:
            OvsskitError: the image cannot be exported; it is left out.
        """

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the files of the whole; `parts` can be read several times."""
        return
