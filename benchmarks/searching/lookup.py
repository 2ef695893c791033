"""Run studies on a judged table: all of the program's own machinery, and no network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna

from ovsskit.study.search.finals import Finals
from ovsskit.study.search.queue import DEFAULT, TrialQueue
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trial_result import TrialResult, describe
from ovsskit.study.search.trials import Row, read_rows
from ovsskit.study.search.workers import work
from ovsskit.study.spec.dimension import Dimension
from ovsskit.study.spec.objectives import Objective, mean_of
from ovsskit.study.spec.plan import StudyPlan, searched_of
from searching.table import Judged, key_of

JUDGED = ("wins", "share")
"""The rewards that ask a judge."""


@dataclass
class Memory:
    """Keep the trials of one study in memory, for one worker."""

    trials: Any = field(default_factory=optuna.storages.InMemoryStorage)
    shared: bool = False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let the only worker go on."""
        yield

    def begin(self, trial: optuna.Trial) -> None:
        """Note nothing."""

    def dead(self, study: optuna.Study) -> list[Any]:
        """Return none: no worker dies."""
        return []

    def close(self) -> None:
        """Hold nothing."""


@dataclass
class LookUp:
    """Judge candidates as `Evaluator` does, by what the table knows."""

    plan: StudyPlan
    table: Mapping[str, Judged]
    start: Mapping[str, Any]
    choices: Mapping[str, Sequence[Any]]
    late: bool = True

    def judge(
        self, values: Mapping[str, Any], order: Sequence[int], report: Any = None
    ) -> TrialResult:
        """Return what images give at the point; `calls` counts images, and those of the judge."""
        known, goals = self._at(values), self.plan.search.objectives
        found: list[dict[int, float]] = [{} for _ in goals]
        others = [name for name in goals[0].addresses if name not in JUDGED]
        waits = self.late and bool(others) and len(others) < len(goals[0].addresses)
        whole, images, asked = True, 0, 0
        for index in order:
            images += 1
            most = math.prod(known.rewards[name][index] for name in others)
            if report is not None and waits and report.is_hopeless({index: most}):
                whole = False
                break
            asked += len(others) < len(goals[0].addresses)
            for goal, one in zip(goals, found, strict=True):
                one[index] = self._of(goal, known, index)
            if report is not None and report(index, found[0][index]):
                whole = False
                break
        totals = [
            known.miou([*one]) if goal.metric else mean_of([*one.values()])
            for goal, one in zip(goals, found, strict=True)
        ]
        return TrialResult(totals, found[0], 0.0, None, whole, images, 0, asked, 0)

    def values_of(
        self, values: Mapping[str, Any], goal: Objective, order: Sequence[int]
    ) -> dict[int, float]:
        """Return what single images give for a goal."""
        known = self._at(values)
        return {index: self._of(goal, known, index) for index in order}

    def _at(self, values: Mapping[str, Any]) -> Judged:
        return self.table[key_of({**self.start, **nearest(self.choices, values)})]

    def _of(self, goal: Objective, known: Judged, index: int) -> float:
        if goal.metric:
            return known.miou([index])
        return goal.reward({name: known.rewards[name][index] for name in goal.addresses})


def study_of(
    plan: StudyPlan,
    table: Mapping[str, Judged],
    start: Mapping[str, Any],
    seed: int,
    *,
    ranges: bool = False,
    late: bool = True,
    enough: Callable[[StudyState], bool] = lambda _: False,
    **more: Any,
) -> StudyState:
    """Search the table with one seed, and decide whether the best point is accepted.

    The seed decides, too, which half of the images is held back; `start` is the unchanged recipe.
    With `ranges`, choices of numbers are searched from the lowest to the highest, so that
    candidates are as different as those of shipped spaces. Unless the judge is asked `late`, it is
    asked about every image. A study that is `enough` ends.
    """
    choices = {one.address: one.choices for one in plan.search.space}
    settings = plan.search.settings.model_copy(update={"seed": seed, **more})
    search = replace(plan.search, settings=settings)
    if ranges:
        search = replace(search, space=tuple(map(as_range, search.space)))
    plan = replace(plan, search=search, searched=searched_of(len(plan.images), settings))
    evaluator: Any = LookUp(plan, table, start, choices, late)
    storage: Any = Memory()
    queue = TrialQueue(search, storage, {})
    default = describe(evaluator.judge({}, plan.searched))
    queue.study.set_user_attr(DEFAULT, default)
    state = StudyState(plan, queue.count, Path(), default=default, start=dict(start))

    def after() -> None:
        state.rows = read_rows(queue.study, search)
        if enough(state):
            raise Enough

    with suppress(Enough):
        work(queue, plan, evaluator, after)
    if settings.accept == "proved":
        state.acceptance = Finals(state, evaluator, queue.study).decide()
    return state


class Enough(Exception):
    """End a study before all its turns are done."""


def is_numeric(one: Dimension) -> bool:
    """Say whether a dimension's choices are numbers."""
    return all(type(choice) in (int, float) for choice in one.choices)


def as_range(one: Dimension) -> Dimension:
    """Return choices of numbers as the range from the lowest to the highest, others unchanged."""
    if not is_numeric(one):
        return one
    return replace(one, kind="float", choices=(), low=min(one.choices), high=max(one.choices))


def point_of(
    start: Mapping[str, Any], choices: Mapping[str, Sequence[Any]], row: Row | None
) -> str:
    """Return the point of a trial, or that of the unchanged recipe."""
    return key_of({**start, **nearest(choices, row.params if row is not None else {})})


def nearest(choices: Mapping[str, Sequence[Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the grid that are nearest to values from ranges."""
    found = {}
    for key, one in values.items():
        equal = [near for near in choices[key] if near == one]
        others = {abs(near - one): near for near in choices[key]} if not equal else {}
        found[key] = equal[0] if equal else others[min(others)]
    return found
