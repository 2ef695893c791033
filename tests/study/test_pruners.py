"""Pruners stop candidates that are hopeless, and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from ovsskit.study.search.samplers import TURN, Halving, rungs
from ovsskit.study.search.state import StudyState

Search = Callable[..., StudyState]
Write = Callable[..., Path]


def values(state: StudyState) -> list[tuple[object, ...]]:
    return [
        (row.turn, row.params, row.values) for row in sorted(state.rows, key=lambda row: row.turn)
    ]


@pytest.mark.parametrize("pruner", ["wilcoxon", "halving"])
def test_pruners_leave_hopeless_candidates_after_some_images(search: Search, pruner: str) -> None:
    state = search(trials=24, pruner=pruner, batch="1")
    pruned = [row for row in state.rows if row.state == "pruned"]
    assert pruned
    assert all(len(row.result["images"]) <= 6 for row in pruned)
    assert any(len(row.result["images"]) < 6 for row in pruned)
    best = state.best
    assert best is not None
    assert len(best.result["images"]) == 6
    firsts = {next(iter(row.result["images"])) for row in pruned if len(row.result["images"]) == 1}
    assert (len(firsts) > 1) == (
        pruner == "halving"
    )  # others first in each trial; one image is too few for a test


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (
            [0.5, 0.4, 0.6, 0.6, 0.6],
            [True, False, True, True, False],
        ),  # few: the best goes on, and one that equals it
        ([0.5] * 9, [True] * 2 + [False] * 7),
        (
            [1.0, *[0.0] * 10, 0.9, 0.9, 1.0],
            [True, *[False] * 10, True, True, True],
        ),  # a quarter, with those they equal
        (
            [0.0] * 40 + [1.0] * 40,
            [True] * 2 + [False] * 38 + [True] * 10 + [False] * 30,
        ),  # a quarter of the last, not of all
    ],
)
def test_halving_keeps_a_quarter_and_not_all_that_are_equal(
    values: list[float], kept: list[bool]
) -> None:
    study = optuna.create_study(direction="maximize", pruner=Halving())
    went_on = []
    for turn, value in enumerate(values):
        trial = study.ask()
        trial.set_user_attr(TURN, turn)
        trial.report(value, 1)
        went_on.append(not trial.should_prune())
        study.tell(trial, value)
    assert went_on == kept


@pytest.mark.parametrize(
    ("images", "steps"),
    [(96, [4, 20, 64]), (24, [1, 5, 16]), (12, [1, 3, 8]), (6, [1, 2, 4]), (2, [1]), (1, [])],
)
def test_halving_looks_three_times_and_never_when_all_is_seen(
    images: int, steps: list[int]
) -> None:
    assert rungs(images) == steps


def test_halving_does_not_compare_a_trial_with_its_own_first_attempt() -> None:
    study = optuna.create_study(direction="maximize", pruner=Halving())
    for state in (optuna.trial.TrialState.FAIL, optuna.trial.TrialState.COMPLETE):
        trial = study.ask()
        trial.set_user_attr(TURN, 0)
        trial.report(0.5, 1)
        assert not trial.should_prune()
        study.tell(trial, None if state == optuna.trial.TrialState.FAIL else 0.5, state=state)
