"""No candidate is judged twice, and a space of few points is tried point by point."""

from __future__ import annotations

import json
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from ovsskit.recipe.build import build
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.journal import Journal
from ovsskit.study.search.queue import DEFAULT, RESULT, Failed, TrialQueue, candidate_key
from ovsskit.study.search.samplers import points_of
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trial_result import TrialResult
from ovsskit.study.spec import search as search_module
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.plan import make_plan
from ovsskit.study.study import identify_study

Search = Callable[..., StudyState]
Write = Callable[..., Path]
TWO = '[space]\n"toy_shade.layer" = { choices = [1, 2] }\n'
NINE = (
    '[space]\n"toy_shade.layer" = { low = 0, high = 2 }\n'
    '"toy_cut.at" = { low = 0.1, high = 0.7, step = 0.3 }\n'
)
SWITCHED = """
[space]
"toy_dim"        = { choices = ["on", "off"] }
"toy_dim.by"     = { choices = [1.0, 0.5] }
"toy_twice"      = { choices = ["on", "off"] }
"toy_twice.away" = { choices = [0.0, 0.5] }
"""


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the candidates that are computed."""
    found: list[dict[str, Any]] = []
    judge = Evaluator.judge

    def watch(self: Evaluator, values: Mapping[str, Any], *others: Any, **more: Any) -> TrialResult:
        found.append(dict(values))
        return judge(self, values, *others, **more)

    monkeypatch.setattr(Evaluator, "judge", watch)
    return found


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "annealing"])
def test_a_study_of_two_choices_needs_two_trials(
    search: Search,
    study_file: Write,
    judged: list[dict[str, Any]],
    sampler: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    state = search(study_file(tables=TWO), trials=12, sampler=sampler, limit=1)
    assert [row.params["toy_shade.layer"] for row in state.rows] == [1, 2]
    assert state.total == 2
    assert judged == [{}, {"toy_shade.layer": 2}]
    assert state.best is not None
    assert "the space has 2 points: the study ends when all are tried" in caplog.messages


def test_a_list_of_points_is_tried_without_repeats_also_when_more_trials_are_asked_for(
    search: Search, study_file: Write, judged: list[dict[str, Any]]
) -> None:
    study = study_file(tables=NINE)
    first = search(study, trials=4, sampler="tpe", limit=1)
    assert len(first.rows) == 4
    whole = search(study, trials=30, sampler="tpe", limit=1)
    points = Counter(json.dumps(row.params, sort_keys=True) for row in whole.rows)
    assert len(whole.rows) == whole.total == len(points) == 9
    assert len(judged) == 9  # the unchanged recipe is one of the points
    again = search(study, trials=30, sampler="tpe", limit=1)
    assert len(again.rows) == 9
    assert len(judged) == 9


def test_candidates_that_are_the_same_recipe_are_computed_once(
    search: Search, study_file: Write, judged: list[dict[str, Any]]
) -> None:
    state = search(study_file(tables=SWITCHED), trials=50, limit=1)
    assert len(state.rows) == 9  # 3 ways of each stage: off, and on with one of two values
    recipes = {candidate_key(state.plan.search, row.params) for row in state.rows}
    # Of the wrapper, `away = 0` is the same as off; the unchanged recipe is one of them.
    assert len(recipes) == 3 * 2
    assert len(judged) == len(recipes)
    by_recipe: dict[str, set[tuple[float, ...]]] = {}
    for row in state.rows:
        key = candidate_key(state.plan.search, row.params)
        by_recipe.setdefault(key, set()).add(tuple(row.values or ()))
    assert all(len(values) == 1 for values in by_recipe.values())


def test_a_sampler_that_proposes_the_same_again_gets_what_it_was_worth(
    search: Search,
    study_file: Write,
    judged: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def same(self: Any, study: Any, trial: Any, name: str, distribution: Any) -> float:
        return 0.5

    monkeypatch.setattr(optuna.samplers.CmaEsSampler, "sample_independent", same)
    monkeypatch.setattr(optuna.samplers.CmaEsSampler, "sample_relative", lambda *_: {})
    space = (
        '[space]\n"toy_cut.at" = { low = 0.0, high = 1.0 }\n'
        '"toy_dim.by" = { low = 0.0, high = 1.0 }\n'
    )
    study = study_file(tables=space)
    first = search(study, trials=3, sampler="cmaes", limit=2)
    more = search(study, trials=5, sampler="cmaes", limit=2)
    assert judged == [{}, {"toy_cut.at": 0.5, "toy_dim.by": 0.5}]
    values = [row.values for row in more.rows]
    assert [row.values for row in first.rows] == values[:3]
    assert values[1:] == [values[1]] * 4
    assert values[0] == more.default["values"]
    assert [row.result["calls"] for row in more.rows[2:]] == [0, 0, 0]


def test_a_candidate_that_was_pruned_is_pruned_again_without_being_computed(
    search: Search,
    study_file: Write,
    judged: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bad(self: Any, study: Any, trial: Any, name: str, distribution: Any) -> float:
        return 0.0

    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_independent", bad)
    monkeypatch.setattr("ovsskit.study.search.samplers.Halving.prune", lambda *_: True)
    study = study_file(tables='[space]\n"toy_cut.at" = { low = 0.0, high = 1.0 }\n')
    state = search(study, trials=4, pruner="halving", batch="1")
    assert [row.state for row in state.rows] == ["done", "pruned", "pruned", "pruned"]
    assert len(judged) == 2
    assert len({json.dumps(row.result["images"]) for row in state.rows[1:]}) == 1


def turns_of(study: Path, folder: Path, photos: Path) -> tuple[TrialQueue, Journal]:
    images = tuple(str(path) for path in sorted(photos.glob("*.png")))
    plan = make_plan(StudyOptions(str(study), images=images, limit=1, settings={"accept": "best"}))
    trial_storage = Journal(folder)
    return TrialQueue(plan.search, trial_storage, identify_study(plan)), trial_storage


def test_a_candidate_that_another_worker_has_is_waited_for(
    study_file: Write, tmp_path: Path, photos: Path
) -> None:
    space = (
        '[set]\n"toy_cut.mode" = ""\n[space]\n"toy_dim" = { choices = ["on", "off"] }\n'
        '"toy_dim.by" = { low = 0.0, high = 1.0 }\n'
    )
    study = study_file("as_it_is = false\nsampler = 'random'\ntrials = 2", space)
    one, first = turns_of(study, tmp_path / "store", photos)
    other, second = turns_of(study, tmp_path / "store", photos)
    for queue in (one, other):  # both propose the same
        queue.suggest = lambda trial: {"toy_dim": trial.suggest_categorical("toy_dim", ["off"])}  # type: ignore[method-assign]
    begun, waits = threading.Event(), threading.Event()
    found: list[Any] = []

    def slow(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        found.append(one.known(trial))
        begun.set()
        assert waits.wait(60)
        trial.set_user_attr(RESULT, {"values": [0.25]})
        return 0.25

    def equal(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        waits.set()
        found.append(other.known(trial))
        return 0.25

    worker = threading.Thread(target=one.take, args=(slow,))
    worker.start()
    assert begun.wait(60)
    assert other.take(equal)
    worker.join()
    first.close()
    second.close()
    assert found == [None, ({"values": [0.25]}, True)]


def test_a_candidate_whose_worker_died_is_computed_by_the_next(
    study_file: Write, tmp_path: Path, photos: Path
) -> None:
    space = (
        '[space]\n"toy_dim" = { choices = ["on", "off"] }\n'
        '"toy_dim.by" = { low = 0.0, high = 1.0 }\n'
    )
    study = study_file("as_it_is = false\ntrials = 2", space)
    one, first = turns_of(study, tmp_path / "store", photos)
    other, second = turns_of(study, tmp_path / "store", photos)
    for queue in (one, other):
        queue.suggest = lambda trial: {"toy_dim": trial.suggest_categorical("toy_dim", ["off"])}  # type: ignore[method-assign]
    begun, over = threading.Event(), threading.Event()
    found: list[Any] = []

    def hangs(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        begun.set()
        assert over.wait(60)
        raise Failed

    def equal(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        first.close()  # so it looks as if the first worker had died
        found.append(other.known(trial))
        return 0.0

    worker = threading.Thread(target=one.take, args=(hangs,))
    worker.start()
    assert begun.wait(60)
    assert other.take(equal)
    over.set()
    worker.join()
    second.close()
    assert found == [None]


def test_points_are_listed_with_the_recipe_as_it_is_first(
    study_file: Write, tmp_path: Path, photos: Path
) -> None:
    queue, trial_storage = turns_of(study_file(tables=SWITCHED), tmp_path / "store", photos)
    trial_storage.close()
    points = points_of(queue.search)
    assert points is not None
    assert points[0] == {
        "toy_dim": "on",
        "toy_dim.by": 1.0,
        "toy_twice": "on",
        "toy_twice.away": 0.0,
    }
    assert DEFAULT not in queue.study.user_attrs
    endless = study_file(
        tables='[space]\n"toy_cut.at" = { low = 0.0, high = 1.0 }\n', name="b.toml"
    )
    assert turns_of(endless, tmp_path / "other", photos)[0].points is None


def test_a_trial_builds_its_recipe_once(
    search: Search, study_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []

    def watch(table: Any, *others: Any) -> Any:
        built.append(table)
        return build(table, *others)

    def count(trials: int) -> int:
        built.clear()
        search(study_file(), trials=trials, sampler="random", out=f"of {trials}")
        return len(built)

    monkeypatch.setattr(search_module, "build", watch)
    assert count(5) - count(2) == 3


def test_values_and_goals_make_other_recipes(study_file: Write) -> None:
    searched = make_plan(StudyOptions(str(study_file()))).search
    values = {"toy_cut.at": 0.3}
    recipe = searched.candidate(values)
    assert searched.candidate(dict(values)) is recipe
    alone = searched.candidate(values, goals=())
    assert len(alone.plan.stages) == len(recipe.plan.stages) - 1
    assert searched.candidate({"toy_cut.at": 0.4}).plan.stages != recipe.plan.stages
    assert searched.candidate(values).plan.stages == recipe.plan.stages
    assert pickle.loads(pickle.dumps(searched)) == searched
