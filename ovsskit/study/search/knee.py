"""Find the knee of a Pareto front: where a little more of one objective would cost much of another.

Every objective is measured by what is lost against the front's best in it: 0 there, 1 at the
front's worst. Units and ranges then make no difference.

Source: Das, "On characterizing the knee of the Pareto curve based on Normal-Boundary Intersection",
Structural Optimization 18, 1999 (the greatest distance from the line through the ends); Branke,
Deb, Dierolf and Osswald, "Finding Knees in Multi-objective Optimization", PPSN 2004 (why knees).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ovsskit.study.search.trials import Row

FEWEST = 3
"""Different points that a front with a knee has: two ends and what lies between."""

DECIMALS = 9
"""Decimals of what is lost that tell points apart, from each other and from the line."""


def knee_of(front: Sequence[Row], signs: Sequence[int]) -> Row | None:
    """Return the knee of a Pareto front, the earliest trial of equals; None if it has none.

    Of two objectives it is the trial farthest from the line through the ends of the front, on the
    better side; where all lie on the line or behind it there is none. Of more it is the trial
    nearest to the ideal, the point that has the best of each. `signs` is 1 for each objective of
    which more is better, else -1.
    """
    points = {
        row.turn: tuple(sign * value for sign, value in zip(signs, row.values or (), strict=True))
        for row in front
    }
    if len(set(points.values())) < FEWEST:
        return None
    ranges = [(min(column), max(column)) for column in zip(*points.values(), strict=True)]

    def lost(row: Row) -> float:
        shares = [
            (high - value) / (high - low or 1.0)
            for value, (low, high) in zip(points[row.turn], ranges, strict=True)
        ]
        return round(sum(shares) if len(shares) == 2 else math.hypot(*shares), DECIMALS)

    found = min(front, key=lambda row: (lost(row), row.turn))
    return None if len(signs) == 2 and lost(found) >= 1 else found
