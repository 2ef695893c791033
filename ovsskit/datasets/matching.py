"""Find the class of a data set that every class of a recipe stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.dataset import Facts
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadClasses, first_of

NONE = -1
"""The number of what is none of a data set's classes."""


@dataclass(frozen=True)
class Matching:
    """Say for every id of a recipe's masks which class of a data set it stands for, by number.

    `words` are the recipe's classes. Ids that stand for none of the data set's are not in
    `numbers`. `missed` are the classes of the data set
    that the recipe does not look for, `others` those that it looks for and the data set does not
    have.
    """

    words: Vocabulary
    numbers: Mapping[int, int]
    missed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @cached_property
    def table(self) -> Int[numpy.ndarray, " id"]:
        """Return the number of every id up to the largest that has one, and NONE behind."""
        found = numpy.full(max(self.numbers) + 2, NONE, "int64")
        for identity, number in self.numbers.items():
            found[identity] = number
        return found

    def translate(self, ids: Int[numpy.ndarray, "h w"]) -> Int[numpy.ndarray, "h w"]:
        """Return the number of every pixel's class; NONE where it is none of the data set's."""
        translated: numpy.ndarray = self.table[numpy.minimum(ids, len(self.table) - 1)]
        return translated


def match_classes(vocabulary: Vocabulary, facts: Facts, own: Facts | None = None) -> Matching:
    """Match a recipe's classes with those of a data set.

    `own` is the data set whose classes the recipe's are, in its order, whatever words they use.
    Otherwise a class is found by any of its words, without regard to case, blanks and hyphens.

    Raises:
        BadClasses: none of the classes is one of the data set's.
    """
    official = _official(vocabulary, own)
    known = _numbers(facts, own)
    numbers, others = {}, []
    if facts.background is not None:
        numbers[vocabulary.ids[0]] = facts.background
    for identity, words in zip(vocabulary.ids[1:], official, strict=True):
        number = next((known[key] for key in map(plain, words) if key in known), None)
        if number is None:
            others.append(words[0])
        else:
            numbers[identity] = number
    if len(others) == len(official):
        raise BadClasses(
            f"None of the classes looked for is one of {facts.title}.",
            there=f"It has: {first_of(facts.classes)}. Looked for: {first_of(others)}.",
            fix="To look for those of the data set, name no classes.",
        )
    found = set(numbers.values())
    missed = tuple(name for number, name in enumerate(facts.classes) if number not in found)
    return Matching(vocabulary, numbers, missed, tuple(others))


def plain(word: str) -> str:
    """Return a word without case, blanks, hyphens and underscores, to compare it by."""
    return re.sub(r"[\s_-]+", "", word.casefold())


def is_of(own: Facts, facts: Facts) -> bool:
    """Tell whether classes of one data set stand for all classes of another."""
    if own.name == facts.coarse_of:
        return True
    return {plain(name) for name in foreground(facts)} <= {plain(name) for name in own.classes}


def foreground(facts: Facts) -> tuple[str, ...]:
    """Return the classes of a data set but the one that stands for everything else."""
    return tuple(name for number, name in enumerate(facts.classes) if number != facts.background)


def _official(vocabulary: Vocabulary, own: Facts | None) -> list[tuple[str, ...]]:
    """Return the words by which every class of a recipe is looked up."""
    if own is not None:
        return [(name,) for name in foreground(own)]
    others = vocabulary.synonyms or ((),) * len(vocabulary.names)
    return [(name, *more) for name, more in zip(vocabulary.names, others, strict=True)]


def _numbers(facts: Facts, own: Facts | None) -> dict[str, int]:
    """Return the number of a class by its plain words; of equal ones the first class's."""
    if own is not None and facts.coarse_of == own.name:
        pairs = zip(own.classes, facts.coarse, strict=True)
        return {plain(name): number for name, number in pairs if number != NONE}
    found: dict[str, int] = {}
    for number, name in enumerate(facts.classes):
        if number != facts.background:
            found.setdefault(plain(name), number)
    for number, name in enumerate(facts.classes):
        for word in facts.own_words.get(name, ()):
            found.setdefault(plain(word), number)
    return found
