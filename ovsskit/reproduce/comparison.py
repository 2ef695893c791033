"""Compare a published number with a measured one, or say why that cannot be done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ovsskit.datasets.facts import facts_of
from ovsskit.recipe.published import PublishedNumber

Outcome = Literal["within", "outside", "not comparable", "not measured"]
ALL_WITHIN, SOME_OUTSIDE, NOTHING_COMPARED = 0, 1, 3
"""The exit statuses of the command."""


@dataclass(frozen=True)
class Comparison:
    """Hold a published number of a recipe and the measured one, both in per cent.

    `interval` is the 95 % interval of the measured one, if other images were drawn. `reasons` say
    why the two cannot be compared; there are none where they can. `tolerance` is in points.
    """

    recipe: str
    published: PublishedNumber
    tolerance: float
    measured: float | None = None
    interval: tuple[float, float] | None = None
    reasons: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def difference(self) -> float | None:
        """Return how many points more were measured than are published."""
        return None if self.measured is None else self.measured - self.published.value

    @property
    def outcome(self) -> Outcome:
        """Return what became of the number."""
        if self.difference is None:
            return "not measured"
        if self.reasons:
            return "not comparable"
        # Rounded, so that 64.1 is within 0.3 of 63.8.
        return "within" if round(abs(self.difference), 6) <= self.tolerance else "outside"

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        plain = asdict(self) | {"published": self.published.model_dump(mode="json")}
        folder = None if self.folder is None else str(self.folder)
        return plain | {"folder": folder, "difference": self.difference, "outcome": self.outcome}


def compare(
    recipe: str,
    number: PublishedNumber,
    tolerance: float,
    record: Mapping[str, Any],
    folder: Path,
    reasons: Iterable[str] = (),
) -> Comparison:
    """Compare a published number with what the record of an evaluation says.

    `reasons` are further ones why they cannot be compared.
    """
    value = record["metrics"][number.metric]
    low, high = record["interval"].get(number.metric, (None, None))
    return Comparison(
        recipe,
        number,
        tolerance,
        None if value is None else 100 * value,
        None if low is None else (100 * low, 100 * high),
        (*number.differs, *reasons, *_shortfalls(number, record)),
        folder,
    )


def exit_status(comparisons: Iterable[Comparison]) -> int:
    """Return 0 if all numbers that can be compared are within, 1 if not, 3 if none can."""
    outcomes = {one.outcome for one in comparisons}
    if "outside" in outcomes:
        return SOME_OUTSIDE
    return ALL_WITHIN if "within" in outcomes else NOTHING_COMPARED


def _shortfalls(number: PublishedNumber, record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of the images or metrics is missing in a record."""
    if record["metrics"][number.metric] is None:
        yield "nothing in these images tells this metric"
    images, total = record["images"], record["dataset"]["images"]
    left = f", and {images['left_out']} were left out" if images["left_out"] else ""
    if images["counted"] < total:
        yield f"{images['counted']} of the {total} images were measured{left}"
    facts, found = facts_of(number.dataset), record["dataset"]
    layout = next(one for one in facts.layouts if one.name == found["layout"])
    published = {one.name: one.images for one in facts.splits}.get(found["split"], 0)
    if not layout.part and published not in (0, total):
        yield f"the split has {published} images, and {total} are here"
