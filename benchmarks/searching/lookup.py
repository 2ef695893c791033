"""Run studies on a judged table: all of the program's own machinery, and no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna

from ovsskit.study.search.evaluate import TrialResult
from ovsskit.study.search.finals import Finals
from ovsskit.study.search.queue import DEFAULT, TrialQueue
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trials import Row, read_rows
from ovsskit.study.search.workers import describe, work
from ovsskit.study.spec.objectives import Objective, mean_of
from ovsskit.study.spec.plan import StudyPlan, searched_of
from ovsskit.study.spec.space import Dimension
from searching.table import Judged, key_of


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

    def judge(
        self, values: Mapping[str, Any], order: Sequence[int], report: Any = None
    ) -> TrialResult:
        """Return what images give at the point."""
        known, goals = self._at(values), self.plan.search.objectives
        found: list[dict[int, float]] = [{} for _ in goals]
        whole = True
        for index in order:
            for goal, one in zip(goals, found, strict=True):
                one[index] = self._of(goal, known, index)
            if report is not None and report(index, found[0][index]):
                whole = False
                break
        totals = [
            known.miou([*one]) if goal.metric else mean_of([*one.values()])
            for goal, one in zip(goals, found, strict=True)
        ]
        return TrialResult(totals, found[0], 0.0, None, whole, 0, 0, 0, 0)

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
    plan: StudyPlan, table: Mapping[str, Judged], start: Mapping[str, Any], seed: int, **more: Any
) -> StudyState:
    """Search the table with one seed, and decide whether the best point is accepted.

    The seed decides, too, which half of the images is held back; `start` is the unchanged recipe.
    CMA-ES, which takes no choices, searches from the lowest of them to the highest; so does a study
    with a pruner, whose candidates are then as different as those of shipped spaces.
    """
    choices = {one.address: one.choices for one in plan.search.space}
    settings = plan.search.settings.model_copy(update={"seed": seed, **more})
    search = replace(plan.search, settings=settings)
    if settings.sampler == "cmaes" or settings.pruner != "none":
        search = replace(search, space=tuple(map(as_range, search.space)))
    plan = replace(plan, search=search, searched=searched_of(len(plan.images), settings))
    evaluator: Any = LookUp(plan, table, start, choices)
    storage: Any = Memory()
    queue = TrialQueue(search, storage, {})
    default = describe(evaluator.judge({}, plan.searched))
    queue.study.set_user_attr(DEFAULT, default)
    state = StudyState(plan, queue.count, Path(), default=default, start=dict(start))
    work(queue, plan, evaluator, lambda: None)
    state.rows = read_rows(queue.study, search)
    if settings.accept == "proved":
        state.acceptance = Finals(state, evaluator, queue.study).decide()
    return state


def as_range(one: Dimension) -> Dimension:
    """Return choices of numbers as the range from the lowest to the highest."""
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
