"""What a study makes better, and what confirms it, where nobody says so.

Rewards are of four kinds: what a judge says, what the image's regions and edges say, what another
recipe finds, and whether altered images give the same. A bias of one kind is rarely one of another,
so a result is confirmed by a kind that was not searched.
"""

from __future__ import annotations

from typing import Any

from ovsskit.errors import Place
from ovsskit.recipe.toml_lines import Table, tabled
from ovsskit.study.spec.objectives import Objective

JUDGE = {"use": "clip_reward", "form": "share", "among": "all"}
REGIONS, EDGES = {"use": "region_reward"}, {"use": "edge_reward"}
REFERENCE = {"use": "reference_reward"}
ALTERED = {"use": "agreement_reward", "alterations": ["horizontal_flip"]}


def default_objective(*, reference: bool, judge: bool, place: Place) -> Table:
    """Return the objective of a study that names none, a product of rewards of different kinds.

    What the reference finds is multiplied by what the judge says. Where there is no reference, or
    no judge, what the image's regions and edges say stands in for it.
    """
    if reference and judge:
        return _table({"product": [REFERENCE, JUDGE]}, place)
    return _table({"product": [REFERENCE if reference else JUDGE, REGIONS, EDGES]}, place)


def default_confirmation(objective: Objective, *, reference: bool, place: Place) -> Table:
    """Return the reward that confirms a result: the first kind that the objective does not hold."""
    used = {stage["use"] for stage in objective.stages}
    if reference and REFERENCE["use"] not in used:
        return _table(REFERENCE, place)
    if not used & {REGIONS["use"], EDGES["use"]}:
        return _table({"product": [REGIONS, EDGES]}, place)
    return _table(ALTERED, place)


def _table(items: dict[str, Any], place: Place) -> Table:
    found: Table = tabled(items, place)
    return found
