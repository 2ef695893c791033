"""Ask a judge last, and not about candidates that are left whatever it says.

A product of rewards is no more than its other factors times the most that the judge gives. A
candidate that successive halving leaves with so much is left with less, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from ovsskit.engine.plan import Plan
from ovsskit.study.spec.objectives import Objective


@runtime_checkable
class SaysItsMost(Protocol):
    """Promise the greatest reward that a stage gives any image."""

    @property
    def most(self) -> float:
        """Return the greatest reward."""


def late_stages(plan: Plan, goals: Sequence[Objective]) -> dict[str, float]:
    """Return the addresses of stages of a product that can wait, with the most that they give.

    These are the ones that ask a model and say how much they give at most. Where all factors of the
    product are such, or several things are judged, none can wait.
    """
    factors = goals[0].addresses if len(goals) == 1 else ()
    found = {}
    for stage in plan.stages:
        is_judge = stage.address in factors and plan.models_of[stage.address]
        if is_judge and isinstance(stage, SaysItsMost) and math.isfinite(stage.most):
            found[stage.address] = stage.most
    return found if len(found) < len(factors) else {}


def most_of(
    goal: Objective,
    known: Mapping[str, Sequence[float]],
    late: Mapping[str, float],
    group: Sequence[int],
) -> dict[int, float]:
    """Return what each image of a group gives at most, by what the other factors are known to be.

    `known` are the rewards of the group's images, by address.
    """
    return {
        index: goal.reward({**late, **{name: some[place] for name, some in known.items()}})
        for place, index in enumerate(group)
    }
