"""Match the classes of two runs by their names."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.colours import Colour, without_doubles
from ovsskit.engine.values import Vocabulary


@dataclass(frozen=True, eq=False)
class SharedClasses:
    """Hold the classes of two runs: all of the first, then those that only the second has.

    `backgrounds` are the places of the runs' backgrounds among `names`, and `places` those of the
    classes of each run by their numbers in its masks. `only` are the names that only the first run
    has, and only the second.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    backgrounds: tuple[int, int]
    places: tuple[Int[numpy.ndarray, " first"], Int[numpy.ndarray, " second"]]
    only: tuple[tuple[str, ...], tuple[str, ...]]


def match_classes(first: Vocabulary, second: Vocabulary) -> SharedClasses:
    """Return the classes of two runs, of which equal names are one class, backgrounds too.

    Capitals make no difference. The classes keep the colours that they have in the first run; one
    of the second run whose colour is taken gets another.
    """
    known: dict[str, int] = {}
    names: list[str] = []
    colours: list[Colour] = []
    for vocabulary in (first, second):
        for name, colour in zip(vocabulary.labels, vocabulary.colours, strict=True):
            if name.casefold() not in known:
                known[name.casefold()] = len(names)
                names.append(name)
                colours.append(colour)
    places = (_places(first, known), _places(second, known))
    return SharedClasses(
        tuple(names),
        without_doubles(colours, 0),
        (known[first.background.casefold()], known[second.background.casefold()]),
        places,
        (_missing(first, second), _missing(second, first)),
    )


def _places(vocabulary: Vocabulary, known: dict[str, int]) -> Int[numpy.ndarray, " number"]:
    places = numpy.zeros(max(vocabulary.ids) + 1, "int64")
    places[list(vocabulary.ids)] = [known[name.casefold()] for name in vocabulary.labels]
    return places


def _missing(vocabulary: Vocabulary, other: Vocabulary) -> tuple[str, ...]:
    there = {name.casefold() for name in other.labels}
    return tuple(name for name in vocabulary.labels if name.casefold() not in there)
