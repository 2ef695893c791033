"""Compare two results on the same images: how sure is a difference, and where does it come from?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ovsskit.errors import BadValue, Place
from ovsskit.ops.bootstrap import iou_intervals
from ovsskit.report.grid import Grid
from ovsskit.report.results import Result
from ovsskit.report.tables import percent

MOST_NAMED = 5
"""How many of the classes that changed most are named."""


@dataclass(frozen=True)
class Difference:
    """Hold two values of one thing, what the second has more, and the interval of that."""

    name: str
    first: float | None
    second: float | None
    gain: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Tell whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """Hold how two results differ: over all classes, and in each."""

    first: str
    second: str
    overall: Difference
    classes: tuple[Difference, ...]

    @property
    def changed_most(self) -> list[Difference]:
        """Return the classes whose IoU differs surely, the most changed first."""
        sure = [one for one in self.classes if one.is_sure]
        return sorted(sure, key=lambda one: -abs(one.gain))


def compare(first: Result, second: Result) -> Comparison:
    """Compare two results by a paired bootstrap over groups of the same images.

    Raises:
        BadValue: they are not of the same images, true masks, classes and rules.
        BadFile: what was counted of each image is not there.
    """
    if first.subject != second.subject:
        data, other = first.record["dataset"], second.record["dataset"]
        raise BadValue(
            "The two results are not of the same images, true masks, classes and rules.",
            there=f"{first.path}: {_told(first)}. {second.path}: {_told(second)}."
            if data != other or _told(first) != _told(second)
            else "The true masks or the images that are counted differ.",
            fix="Compare results of one data set, split and protocol, with no image left out.",
            where=Place("--compare"),
        )
    mine, other_groups = first.groups(), second.groups()
    counted = mine.any(-1).any(-1)
    found = iou_intervals(
        other_groups[counted], mine[counted], mean=first.record["protocol"]["mean"]
    )
    differences = []
    for before, after, (gain, low, high) in zip(
        first.record["classes"], second.record["classes"], found.classes.T.tolist(), strict=True
    ):
        differences.append(Difference(before["name"], before["iou"], after["iou"], gain, low, high))
    mious = (one.record["metrics"]["miou"] for one in (first, second))
    overall = Difference("mean", *mious, *found.mean.tolist())
    return Comparison(first.name, second.name, overall, tuple(differences))


def comparison_table(comparison: Comparison) -> Grid:
    """Return the differences, the largest first, with a note that sums them up."""
    columns = ("class", comparison.first, comparison.second, "difference", "95 %", "sure")
    known = [one for one in comparison.classes if one.gain == one.gain]
    ordered = [comparison.overall, *sorted(known, key=lambda one: -abs(one.gain))]
    rows = [
        (
            one.name,
            percent(one.first),
            percent(one.second),
            f"{100 * one.gain:+.2f}",
            f"[{100 * one.low:+.2f},{100 * one.high:+.2f}]",
            "yes" if one.is_sure else "no",
        )
        for one in ordered
    ]
    title = f"{comparison.second} against {comparison.first}"
    return Grid(title, columns, rows, frozenset({"class"}), [_sum_up(comparison)])


def _sum_up(comparison: Comparison) -> str:
    overall = comparison.overall
    verb = "is significantly" if overall.is_sure else "may by chance be"
    way = "better" if overall.gain > 0 else "worse"
    named = _names(comparison.changed_most[:MOST_NAMED])
    most = f" Most changed: {named}." if named else " No class differs significantly."
    return f"{comparison.second} {verb} {way} than {comparison.first} on these images.{most}"


def _names(differences: Sequence[Difference]) -> str:
    return ", ".join(f"{one.name} ({100 * one.gain:+.1f})" for one in differences)


def _told(result: Result) -> str:
    data = result.record["dataset"]
    protocol = result.record["protocol"]["name"]
    counted = result.record["images"]["counted"]
    return f"{data['name']} {data['split']} ({protocol}), {counted} images"
