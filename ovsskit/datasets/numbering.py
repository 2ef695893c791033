"""Translate the numbers in a data set's files into the numbers of its classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.dataset import VOID, Facts
from ovsskit.datasets.facts import facts_of
from ovsskit.datasets.layout import Layout
from ovsskit.errors import BadFile, Place, first_of

UNKNOWN = -2
"""What stands for a number of no class while a mask is translated."""


class Numbering:
    """Know the class of every number that may stand in a file.

    A table is looked up, so that no arithmetic of eight bits can turn one number into another; a
    number that it does not know is an error.
    """

    def __init__(self, classes: Mapping[int, int], *, by_colour: bool = False) -> None:
        """Take the class of every known number, or VOID; colours may serve as numbers."""
        self.classes, self.by_colour = dict(classes), by_colour

    def translate(self, raw: Int[numpy.ndarray, "h w"], where: str) -> Int[numpy.ndarray, "h w"]:
        """Return the class of every pixel, or VOID; `where` is the file, for messages.

        Raises:
            BadFile: it holds a number that stands for nothing.
        """
        beyond = len(self._table) - 1
        found = self._table[numpy.where((raw < 0) | (raw > beyond), beyond, raw)]
        if (found == UNKNOWN).any():
            strange = numpy.unique(raw[found == UNKNOWN]).tolist()
            what = "colours" if self.by_colour else "numbers"
            raise BadFile(
                f"The true mask holds {what} of no class: {first_of(self._show(strange), most=8)}.",
                there=f"Known: {first_of(self._show(sorted(self.classes)))}.",
                fix="Is it a mask of another data set, release or layout, or was it converted?",
                where=Place(where),
            )
        return found

    def _show(self, numbers: list[int]) -> list[str]:
        return [f"#{one:06x}" for one in numbers] if self.by_colour else _ranges(numbers)

    @cached_property
    def _table(self) -> Int[numpy.ndarray, " numbers"]:
        table = numpy.full(max(self.classes) + 2, UNKNOWN, "int16")
        for number, label in self.classes.items():
            table[number] = label
        return table


def numbering_of(facts: Facts, layout: Layout) -> Numbering:
    """Return what the numbers in the files of a layout stand for."""
    if facts.coarse_of:
        fine = numbering_of(facts_of(facts.coarse_of), layout).classes
        coarse = (*facts.coarse, VOID)  # VOID is -1, the last
        return Numbering({number: coarse[label] for number, label in fine.items()})
    classes = dict.fromkeys(_spread(layout.void), VOID)
    if facts.background is not None:
        classes |= dict.fromkeys(_spread(layout.background), facts.background)
    if layout.first is not None:
        return Numbering(classes | {layout.first + one: one for one in range(len(facts.classes))})
    for label, number in enumerate(facts.numbers):
        if number is not None:
            classes[number + layout.shift] = label
    return Numbering(classes)


def _spread(ranges: Iterable[str]) -> Iterator[int]:
    """Yield every number of ranges such as `91-181` or `255`."""
    for text in ranges:
        first, _, last = text.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _ranges(numbers: list[int]) -> list[str]:
    """Return sorted numbers as ranges, as `_spread` reads them."""
    held = {*numbers}
    starts = [one for one in numbers if one - 1 not in held]
    ends = [one for one in numbers if one + 1 not in held]
    pairs = zip(starts, ends, strict=True)
    return [str(start) if start == end else f"{start}-{end}" for start, end in pairs]
