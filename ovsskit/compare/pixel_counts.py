"""Count the pixels to which two runs give the same class, and those to which they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ovsskit._lazy import Int, numpy

PixelCounts: TypeAlias = Mapping[tuple[int, int], int]
"""How many pixels have a class in the first run and one in the second, by their places."""


@dataclass(frozen=True)
class ClassDifference:
    """Say how the pixels of one class differ between two runs.

    `first` and `second` are its shares of all pixels in each run, from 0 to 1, and `differing` the
    share of those that only one of them gives it. `iou` is the intersection over union of both
    runs. `swapped` is the place of the class that most of the differing pixels have in the other
    run; None where none differ.
    """

    place: int
    first: float
    second: float
    differing: float
    iou: float
    swapped: int | None


def count_pixels(
    first: Int[numpy.ndarray, "h w"], second: Int[numpy.ndarray, "h w"], classes: int
) -> dict[tuple[int, int], int]:
    """Return how many pixels have each pair of classes; masks hold places, below `classes`."""
    pairs, counts = numpy.unique(first.astype("int64") * classes + second, return_counts=True)
    return {
        divmod(int(pair), classes): int(count) for pair, count in zip(pairs, counts, strict=True)
    }


def disagreement(counts: PixelCounts) -> float:
    """Return the share of the pixels whose classes differ, from 0 to 1."""
    differing = sum(count for (one, other), count in counts.items() if one != other)
    return differing / sum(counts.values())


def class_differences(counts: PixelCounts) -> list[ClassDifference]:
    """Return how each class differs that is found in either run, the most differing pixels first.

    Of equals the one with more pixels in the first run comes first.
    """
    total = sum(counts.values())
    first, second, both = Counter[int](), Counter[int](), Counter[int]()
    swaps: dict[int, Counter[int]] = {}
    for (one, other), count in counts.items():
        first[one] += count
        second[other] += count
        if one == other:
            both[one] += count
        else:
            swaps.setdefault(one, Counter())[other] += count
            swaps.setdefault(other, Counter())[one] += count
    found = []
    for place in first.keys() | second.keys():
        union = first[place] + second[place] - both[place]
        swapped = swaps[place].most_common(1)[0][0] if place in swaps else None
        found.append(
            ClassDifference(
                place,
                first[place] / total,
                second[place] / total,
                (union - both[place]) / total,
                both[place] / union,
                swapped,
            )
        )
    return sorted(found, key=lambda one: (-one.differing, -one.first, one.place))
