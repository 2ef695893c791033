"""What a study makes better: a reward, which a stage writes, a product of rewards, or a metric.

    [objective]
    use = "clip_reward"        # a stage that writes `reward`, with its parameters

    [objective]
    product = [{ use = "clip_reward", form = "share" }, { use = "region_reward" }]

    [[objective]]              # or several, and then a Pareto front
    metric = "miou"
    masks  = "masks/"          # <image>.png with the ids of classes; sample scenes need none

Metrics are `miou` (from 0 to 1), `seconds` (an image's) and `megabytes` (the peak of the stages);
the last two shall become small.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ovsskit.engine.stage import own_slot
from ovsskit.errors import (
    BadStudy,
    BadValue,
    Place,
    UnknownKey,
    UnknownStage,
    did_you_mean,
    first_of,
    report,
)
from ovsskit.recipe.registry import find_stage, stage_names
from ovsskit.recipe.toml_lines import Table
from ovsskit.study.spec.tables import beside

Direction = Literal["maximize", "minimize"]
METRICS: dict[str, Direction] = {"miou": "maximize", "seconds": "minimize", "megabytes": "minimize"}
COSTS = ("seconds", "megabytes")
"""Metrics of a whole candidate, which no single image has."""
TIMES = "*"
"""What stands between the factors of a product, in its name and on the command line."""
KINDS = ("use", "product", "metric")


def sign_of(direction: Direction) -> int:
    """Return 1 where more is better, else -1."""
    return 1 if direction == "maximize" else -1


@dataclass(frozen=True)
class Objective:
    """Hold an objective: name, direction, and the stages whose rewards are multiplied, or a metric.

    An image's reward is the product of what the stages say of it.
    """

    name: str
    direction: Direction
    place: Place
    stages: tuple[Table, ...] = ()
    masks: Path | None = None
    metric: str = ""

    @property
    def sign(self) -> int:
        """Return 1 where more is better, else -1."""
        return sign_of(self.direction)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the addresses of its stages."""
        return tuple(stage["name"] for stage in self.stages)

    @property
    def is_cost(self) -> bool:
        """Say whether it is a cost of the whole candidate, which no single image has."""
        return self.metric in COSTS

    def reward(self, found: Mapping[str, float]) -> float:
        """Return an image's reward from what its stages say; not a number if one of them says so.

        Raises:
            BadStudy: a factor of a product is below zero, and would turn better into worse.
        """
        factors = [found[address] for address in self.addresses]
        below = next((index for index, one in enumerate(factors) if one < 0), None)
        if len(factors) > 1 and below is not None:
            address = self.addresses[below]
            what = f"`{address}` gives {factors[below]:.3g}, but a factor must not be negative."
            raise BadStudy(what, fix="Leave it out of the product.", where=self.place)
        return math.prod(factors)

    def apart(self, taken: Collection[str]) -> Objective:
        """Return it with other addresses for stages whose own are taken."""
        stages = stages_apart(self.stages, taken)
        is_named_after_it = self.addresses == (self.name,)
        return replace(
            self, stages=stages, name=stages[0]["name"] if is_named_after_it else self.name
        )


def stages_apart(stages: Sequence[Table], taken: Collection[str] = ()) -> tuple[Table, ...]:
    """Return the tables of stages, those with other names whose own are taken or stand before."""
    used, found = [*taken], []
    for stage in stages:
        used.append(free_name(stage["name"], used))
        found.append(Table({**stage, "name": used[-1]}, stage.place, stage.places))
    return tuple(found)


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken, made of this one."""
    own, count = name, 1
    while own in taken:
        own = f"{name}_of_study" if count == 1 else f"{name}_of_study_{count}"
        count += 1
    return own


def read_objectives(table: Table) -> tuple[Objective, ...]:
    """Return the objectives of a merged study table; what is wrong is reported."""
    entries = table["objective"]
    listed: list[Table] = entries if isinstance(entries, list) else [entries]
    if not listed or not all(listed):
        there = f"Rewards: {first_of(rewards(), 'ovsskit stages')}. Metrics: {', '.join(METRICS)}."
        fix = 'Give use = "..." or metric = "..."; without [objective] the study chooses.'
        what, where = "No objective is named.", table.place_of("objective")
        report(BadStudy(what, there=there, fix=fix, where=where))
        return ()
    found = [one for entry in listed for one in read_objective(entry)]
    names = [one.name for one in found]
    twice = [one for one in found if names.count(one.name) > 1]
    if twice:
        fix = "Give one of them a name."
        what = f"Two objectives are called `{twice[0].name}`."
        report(BadStudy(what, fix=fix, where=twice[-1].place))
    return tuple(found)


def objective_of(word: str) -> Table:
    """Return the table of an objective given as an option: a metric, a stage, or stages and `*`."""
    place = Place("--objective")
    factors = [Table({"use": one.strip()}, place, {}) for one in word.split(TIMES)]
    if len(factors) > 1:
        return Table({"product": factors}, place, {})
    return Table({"metric" if word in METRICS else "use": word}, place, {})


def rewards() -> list[str]:
    """List the stages that write `reward`."""
    return [name for name in stage_names() if own_slot(find_stage(name)) == "reward"]


def read_objective(entry: Table) -> list[Objective]:
    """Return an objective, in a list; an empty list if something is wrong, which is reported."""
    kinds = [kind for kind in KINDS if entry.get(kind)]
    direction, where = entry.get("direction"), entry.place
    if len(kinds) != 1:
        fix = "Give `use`, a stage that writes `reward`, or `product`, several, or `metric`."
        what = "An objective is a stage, a product of stages, or a metric."
        report(BadStudy(what, fix=fix, where=where))
        return []
    if direction not in (None, "maximize", "minimize"):
        what = f'direction is {direction!r}; it must be: "maximize" or "minimize".'
        report(BadValue(what, where=entry.place_of("direction")))
        return []
    if kinds == ["metric"]:
        return _metric(entry, direction)
    if kinds == ["product"]:
        return _product(entry)
    stage = _stage(entry)
    return [Objective(stage["name"], direction or "maximize", where, (stage,))] if stage else []


def _product(entry: Table) -> list[Objective]:
    keys = ["product", "name"]
    for key in entry:
        if key not in keys:
            what, there = f"A product has no key `{key}`.", ", ".join(keys)
            report(UnknownKey(what, there=f"Available: {there}", where=entry.place_of(key)))
    factors = [_stage(one) for one in entry["product"]]
    known = [stage for stage in factors if stage is not None]
    if len(known) < len(factors):
        return []
    stages = stages_apart(known)
    name = entry.get("name") or TIMES.join(stage["name"] for stage in stages)
    return [Objective(name, "maximize", entry.place, stages)]


def _stage(entry: Table) -> Table | None:
    """Return the table of a stage that writes a reward, named; None, reported, if it is none."""
    use, known = entry.get("use", ""), rewards()
    if use not in known:
        stages = first_of(known, "ovsskit stages")
        there = f"Stages that write `reward`: {stages}. Metrics: {', '.join(METRICS)}."
        fix = did_you_mean(use, known)
        what = f"No stage `{use}` writes `reward`."
        report(UnknownStage(what, there=there, fix=fix, where=entry.place_of("use")))
        return None
    kept = {key: value for key, value in entry.items() if key != "direction"}
    return Table({**kept, "name": entry.get("name") or use}, entry.place, entry.places)


def _metric(entry: Table, direction: Any) -> list[Objective]:
    metric = entry["metric"]
    if metric not in METRICS:
        there, fix = f"Available: {', '.join(METRICS)}", did_you_mean(str(metric), list(METRICS))
        what, where = f"There is no metric `{metric}`.", entry.place_of("metric")
        report(BadValue(what, there=there, fix=fix, where=where))
        return []
    known = ["metric", "direction", "name", *(["masks"] if metric == "miou" else [])]
    for key in entry:
        if key not in known:
            what, there = f"The metric `{metric}` has no key `{key}`.", ", ".join(known)
            report(UnknownKey(what, there=f"Available: {there}", where=entry.place_of(key)))
    masks = beside(entry, "masks") / str(entry["masks"]) if "masks" in entry else None
    if masks is not None and not masks.is_dir():
        what = f"There is no folder of masks `{masks}`."
        fix = "Name a folder with <image>.png."
        report(BadValue(what, fix=fix, where=entry.place_of("masks")))
    name = entry.get("name") or metric
    direction = direction or METRICS[metric]
    return [Objective(name, direction, entry.place, masks=masks, metric=metric)]


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of what images gave without those that gave nothing (nan); nan of none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
