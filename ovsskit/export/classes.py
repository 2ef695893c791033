"""Which classes of a run are exported, and how a format names and numbers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.colours import Colour
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadClasses, Place, did_you_mean, first_of
from ovsskit.recipe.class_lists import COMMAND_LINE

STEP = 0x9E3779
"""How far the next colour is that is tried, as red, green and blue in one number."""


@dataclass(frozen=True)
class ExportClass:
    """Hold the number that a class has in the masks of the run, its name and its colour."""

    number: int
    name: str
    colour: Colour


@dataclass(frozen=True)
class ExportClasses:
    """Hold the classes that are exported, without the background, in the order of the run.

    No two have the same name or colour; where the run has two of one name, the number follows it.
    """

    background: ExportClass
    classes: tuple[ExportClass, ...]

    @property
    def all(self) -> tuple[ExportClass, ...]:
        """Return the background and the classes: at each place what stands for it in a row."""
        return (self.background, *self.classes)

    @property
    def by_number(self) -> dict[int, ExportClass]:
        """Return the classes by their numbers in the masks of the run."""
        return {one.number: one for one in self.all}

    @property
    def vocabulary(self) -> Vocabulary:
        """Return the classes as those of a run."""
        return Vocabulary(
            tuple(one.name for one in self.classes),
            tuple(one.number for one in self.all),
            tuple(one.colour for one in self.all),
            self.background.name,
        )

    def keep(self, ids: Int[numpy.ndarray, "h w"]) -> Int[numpy.ndarray, "h w"]:
        """Return a mask in which classes that are not exported are background."""
        kept: Int[numpy.ndarray, "h w"] = self._kept[ids]
        return kept

    def places(self, ids: Int[numpy.ndarray, "h w"]) -> Int[numpy.ndarray, "h w"]:
        """Return a mask that numbers the classes in a row from 1; background is 0."""
        places: Int[numpy.ndarray, "h w"] = self._places[ids]
        return places

    @cached_property
    def _kept(self) -> Int[numpy.ndarray, " number"]:
        table = numpy.full(65536, self.background.number, "int32")
        numbers = [one.number for one in self.all]
        table[numbers] = numbers
        return table

    @cached_property
    def _places(self) -> Int[numpy.ndarray, " number"]:
        table = numpy.zeros(65536, "int32")
        table[[one.number for one in self.all]] = numpy.arange(len(self.all))
        return table


def choose_exported(vocabulary: Vocabulary, wanted: Sequence[str] | None) -> ExportClasses:
    """Return the classes of a run that are wanted, by name; all, if None.

    Raises:
        BadClasses: the run did not look for one of them.
    """
    times = Counter(vocabulary.names)
    colours = _without_doubles(vocabulary.colours)
    listed = [
        ExportClass(number, name if times[name] == 1 else f"{name} {number}", colour)
        for number, name, colour in zip(
            vocabulary.ids[1:], vocabulary.names, colours[1:], strict=True
        )
    ]
    if wanted is not None:
        chosen = {name.casefold() for name in wanted}
        known = {word.casefold() for word in vocabulary.names}
        for name in wanted:
            if name.casefold() not in known:
                raise _unknown(name, vocabulary.names)
        pairs = zip(listed, vocabulary.names, strict=True)
        listed = [one for one, name in pairs if name.casefold() in chosen]
    background = ExportClass(vocabulary.ids[0], vocabulary.background, vocabulary.colours[0])
    return ExportClasses(background, tuple(listed))


def _without_doubles(colours: Sequence[Colour]) -> list[Colour]:
    """Return colours of which no two are the same: one that stands twice gives way to a free one.

    Those of thousands of classes are too many to differ much.
    """
    taken: dict[Colour, None] = {}
    for red, green, blue in colours:
        code = red << 16 | green << 8 | blue
        while (colour := (code >> 16, code >> 8 & 255, code & 255)) in taken:
            code = (code + STEP) % (1 << 24)  # an odd step comes past every colour
        taken[colour] = None
    return list(taken)


def _unknown(name: str, names: Sequence[str]) -> BadClasses:
    what = f"The run did not look for `{name}`."
    there = f"It looked for: {first_of(names)}"
    fix = did_you_mean(name, list(names)) or "Name classes of the run."
    return BadClasses(what, there=there, fix=fix, where=Place(str(COMMAND_LINE)))
