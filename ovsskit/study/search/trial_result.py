"""What a candidate is worth, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class TrialResult:
    """Hold what a candidate is worth, for every objective and image, and what it cost.

    `images` are the values of single images for the first objective. `seconds` and `megabytes` are
    the candidate's own: what the store saved counts with what it cost when it was computed.
    """

    values: list[float]
    images: dict[int, float]
    seconds: float
    megabytes: float | None
    whole: bool
    calls: int
    saved: int
    judge_calls: int
    judge_saved: int


def by_index(found: Mapping[str, float]) -> dict[int, float]:
    """Return what images gave, as JSON holds it, by the images' indices."""
    return {int(index): value for index, value in found.items()}


def in_json(found: Mapping[int, float]) -> dict[str, float]:
    """Return what images gave as JSON holds it, in the order of the indices."""
    return {str(index): value for index, value in sorted(found.items())}


def describe(result: TrialResult) -> dict[str, Any]:
    """Return a trial's result as plain JSON values."""
    return {
        "values": result.values,
        "images": in_json(result.images),
        "seconds": result.seconds,
        "megabytes": result.megabytes,
        "calls": result.calls,
        "saved": result.saved,
        "judge_calls": result.judge_calls,
        "judge_saved": result.judge_saved,
    }
