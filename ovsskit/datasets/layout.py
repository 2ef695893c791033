"""Define how the files of a data set may lie on disk, and what the numbers in them mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Split:
    """Name a split, with the number of its images as published (0 where that is not known).

    `evaluated` marks the one on which papers report; `list` is its name in lists of images where
    that differs.
    """

    name: str
    images: int = 0
    evaluated: bool = False
    list: str = ""


@dataclass(frozen=True)
class Layout:
    """Say where the files of a data set lie, and which class a number in them stands for.

    Patterns are relative to a folder that may be called `below`; they hold `{split}`, `{list}` and
    `{id}`, and of several the first whose files are there counts. `id` is a regular expression. The
    first class has the number `first` and the others follow; or every class has its own number of
    `Facts.numbers` plus `shift`. `background` and `void` are further numbers, such as `91-181`:
    those of pixels of the background, and of pixels that count nowhere. With `part`, the lists name
    a part of the split.
    """

    name: str
    below: str
    id: str
    images: tuple[str, ...]
    masks: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    part: bool = False
    annotations: tuple[str, ...] = ()
    reader: Literal["masks", "coco", "detail"] = "masks"
    variable: str = ""
    first: int | None = None
    shift: int = 0
    background: tuple[str, ...] = ()
    void: tuple[str, ...] = ()

    @property
    def patterns(self) -> tuple[tuple[str, ...], ...]:
        """Return the patterns of what the layout needs: one of each group must be there."""
        groups = (self.lists, self.images, self.masks)
        return (*(group for group in groups if group), *((one,) for one in self.annotations))
