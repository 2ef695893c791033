"""Decide whether the best candidate replaces the unchanged recipe: do no harm.

The best of many candidates is partly the luckiest. So it is judged on images that no candidate was
searched on, too, and has to be better beyond doubt: by the objective, and by a reward of another
kind, since a biased reward confirms its own bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ovsskit._lazy import numpy
from ovsskit.ops.bootstrap import draw_groups

SURE = 0.95
"""How sure it has to be that a candidate is better."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """Hold how a candidate compares with the unchanged recipe by a reward, on the same images.

    `before` and `after` are means over the images, `gain` is the mean gain. `least` is the gain
    that is reached with a probability of 95 %: the 5 % point of a paired bootstrap of the mean.
    """

    reward: str
    images: int
    before: float
    after: float
    gain: float
    least: float

    @property
    def is_better(self) -> bool:
        """Say whether the candidate is better beyond doubt."""
        return self.least > 0

    def __str__(self) -> str:
        values = f"{self.before:.4g} before, {self.after:.4g} now"
        return (
            f"{self.reward} on {self.images} images: {values}, a gain of {self.least:+.2g} or more"
        )


@dataclass(frozen=True)
class Acceptance:
    """Hold the candidate that was proposed, by its turn, and how it compares; None if none was."""

    turn: int | None
    comparisons: tuple[Comparison, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Say whether the candidate replaces the unchanged recipe."""
        return self.turn is not None and all(one.is_better for one in self.comparisons)

    @property
    def reasons(self) -> list[str]:
        """Return in sentences what was decided, and why."""
        if self.turn is None:
            return ["The unchanged recipe was kept: no trial was better on the images searched."]
        if self.is_accepted:
            return [
                f"Trial {self.turn} is better with 95 % confidence.",
                *map(str, self.comparisons),
            ]
        doubted = [one for one in self.comparisons if not one.is_better]
        worse = [one for one in doubted if not one.gain > 0]
        why = "is not better" if worse else "may be better only by luck"
        first = (worse or doubted)[0].reward
        what = f"The unchanged recipe was kept: trial {self.turn} {why} according to {first}."
        return [what, *map(str, self.comparisons)]

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        comparisons = [asdict(one) for one in self.comparisons]
        return {"accepted": self.is_accepted, "trial": self.turn, "comparisons": comparisons}


def compare(
    reward: str, sign: int, before: Mapping[int, float], after: Mapping[int, float]
) -> Comparison:
    """Compare what images gave before and after; those that gave nothing (nan) are left out.

    `sign` is 1 where more is better, else -1. Without images nothing is proved.
    """
    pairs = [(before[index], after[index]) for index in sorted(before.keys() & after.keys())]
    known = [pair for pair in pairs if not any(map(math.isnan, pair))]
    if not known:
        return Comparison(reward, 0, math.nan, math.nan, math.nan, -math.inf)
    was, now = (sum(side) / len(known) for side in zip(*known, strict=True))
    gains = [sign * (new - old) for old, new in known]
    return Comparison(reward, len(known), was, now, sign * (now - was), least_gain(gains))


def least_gain(gains: Sequence[float]) -> float:
    """Return the 5 % point of the mean gain, by the percentile bootstrap over images."""
    listed = numpy.asarray(gains, dtype=float)
    means = [listed[drawn].mean(1) for drawn in draw_groups(len(listed), RESAMPLES, seed=0)]
    return float(numpy.quantile(numpy.concatenate(means), 1 - SURE))
