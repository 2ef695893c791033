"""Whether the best trial replaces the unchanged recipe, and that studies do no harm."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ovsskit.cli.study_report import facts
from ovsskit.engine.notices import Silent
from ovsskit.errors import BadStudy
from ovsskit.recipe.build import load_recipe
from ovsskit.study.report import report
from ovsskit.study.search.acceptance import Acceptance, Comparison, compare, least_gain
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.state import StudyState
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.plan import make_plan
from ovsskit.study.study import search

Write = Callable[..., Path]
Prove = Callable[..., StudyState]
SPACE = '[space]\n"toy_cut.at" = { low = 0.0, high = 1.0 }\n'


@pytest.fixture(scope="session")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of sixteen images of even brightness from black to white."""
    folder = tmp_path_factory.mktemp("many")
    for index in range(16):
        places = numpy.random.default_rng(index).permutation(24 * (16 + index))
        grey = (places / places.size * 255).astype("uint8").reshape(24, 16 + index)
        Image.fromarray(grey).convert("RGB").save(folder / f"p{index:02d}.png")
    return folder


@pytest.fixture
def prove(
    tmp_path: Path, many_photos: Path, study_file: Write, monkeypatch: pytest.MonkeyPatch
) -> Prove:
    """Return what runs a study of `toy_cut.at` whose best trial has to be proved better."""

    def run(objectives: str, out: str = "out", **settings: Any) -> StudyState:
        monkeypatch.setattr(report, "page_text", lambda *_: "<html></html>")
        study = study_file(tables=f"{objectives}\n{SPACE}")
        options = StudyOptions(
            str(study),
            images=(str(many_photos),),
            out=tmp_path / out,
            device="cpu",
            batch="4",
            settings={"trials": 8, **settings},
        )
        return search(options, Silent())

    return run


GOAL = '[objective]\nuse = "toy_goal"\n'


def test_a_trial_that_is_better_by_both_rewards_is_accepted(prove: Prove) -> None:
    state = prove(f'{GOAL}[confirm]\nuse = "toy_goal"\nname = "again"\nshare = 0.45\n')
    assert state.acceptance is not None
    assert state.acceptance.is_accepted
    assert state.chosen is not None
    assert state.chosen.turn == state.acceptance.turn
    assert [one.images for one in state.acceptance.comparisons] == [16, 16]
    best = load_recipe(state.out / "best.toml").plan.stages[-1]
    assert best.at == state.chosen.params["toy_cut.at"]  # type: ignore[attr-defined]
    assert "better with 95 % confidence" in (state.out / "best.toml").read_text()


def test_a_reward_of_another_kind_keeps_the_unchanged_recipe(prove: Prove) -> None:
    state = prove(f'{GOAL}[confirm]\nuse = "toy_small"\ndirection = "minimize"\n')
    assert state.acceptance is not None
    assert not state.acceptance.is_accepted
    by_goal, by_small = state.acceptance.comparisons
    assert by_goal.is_better
    assert by_small.after > by_small.before  # which shall become small
    assert state.chosen is None
    assert state.best is not None
    recipe = load_recipe(state.out / "best.toml")
    assert recipe.plan.stages[-1].at == 0.1  # type: ignore[attr-defined]
    text = (state.out / "best.toml").read_text()
    assert "# The unchanged recipe was kept: trial" in text
    assert "is not better according to toy_small" in text
    assert any("is not better according to toy_small" in line for line in facts(state))
    plain = json.loads((state.out / "trials.json").read_text())["acceptance"]
    assert plain["accepted"] is False
    assert [one["reward"] for one in plain["comparisons"]] == ["toy_goal", "toy_small"]


def test_a_study_whose_recipe_is_best_keeps_it(prove: Prove) -> None:
    state = prove(GOAL, trials=1)
    assert state.acceptance == Acceptance(None)
    assert "no trial was better" in state.acceptance.reasons[0]
    assert state.chosen is None


def test_only_what_is_proposed_is_confirmed(prove: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    values_of = Evaluator.values_of

    def watch(self: Evaluator, values: Any, goal: Any, order: Any) -> Any:
        if goal.name == "toy_small":
            asked.append((values, list(order)))
        return values_of(self, values, goal, order)

    monkeypatch.setattr(Evaluator, "values_of", watch)
    state = prove(f'{GOAL}[confirm]\nuse = "toy_small"\ndirection = "minimize"\n')
    assert state.acceptance is not None
    proposed = next(row for row in state.rows if row.turn == state.acceptance.turn)
    assert asked == [({}, list(range(16))), (proposed.params, list(range(16)))]


def test_what_the_objective_does_not_prove_needs_no_confirmation(
    prove: Prove, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubt(*asked: Any) -> Comparison:
        return replace(compare(*asked), least=-0.1)

    monkeypatch.setattr("ovsskit.study.search.finals.compare", doubt)
    state = prove(f'{GOAL}[confirm]\nuse = "toy_goal"\nname = "again"\nshare = 0.45\n')
    assert state.acceptance is not None
    assert [one.reward for one in state.acceptance.comparisons] == ["toy_goal"]
    assert "may be better only by luck according to toy_goal" in state.acceptance.reasons[0]
    assert state.chosen is None


def test_held_back_images_that_give_nothing_end_no_study(prove: Prove, many_photos: Path) -> None:
    searched = prove(GOAL, out="first").plan.searched
    names = [f"p{index:02d}" for index in searched]
    goal = f'[objective]\nuse = "toy_goal"\nonly = {names}\n[confirm]\nuse = "toy_small"\n'
    state = prove(goal)
    assert state.acceptance is not None
    assert [one.images for one in state.acceptance.comparisons] == [8, 16]


def test_candidates_are_searched_on_half_of_the_images(prove: Prove) -> None:
    state = prove(GOAL)
    plan = state.plan
    assert len(plan.searched) == len(plan.held_back) == 8
    assert sorted(plan.searched + plan.held_back) == list(range(16))
    searched = {str(index) for index in plan.searched}
    assert all(row.result["images"].keys() <= searched for row in state.rows)
    other = prove(GOAL, out="other", seed=1)
    assert other.plan.searched != plan.searched


def test_finalists_are_judged_once(prove: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prove(GOAL)
    judged: list[Any] = []
    judge = Evaluator.judge

    def watch(self: Evaluator, values: Any, *others: Any, **more: Any) -> Any:
        judged.append(values)
        return judge(self, values, *others, **more)

    monkeypatch.setattr(Evaluator, "judge", watch)
    assert prove(GOAL).acceptance == first.acceptance
    assert judged == []


@pytest.mark.parametrize(("count", "noted"), [(11, None), (12, 1), (23, 1), (24, 0)])
def test_the_number_of_images_is_seen(
    tmp_path: Path, study_file: Write, count: int, noted: int | None, caplog: Any
) -> None:
    for index in range(count):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{index}.png")
    options = StudyOptions(
        str(study_file(tables=f"{GOAL}{SPACE}")), images=(str(tmp_path / "*.png"),)
    )
    if noted is None:
        with pytest.raises(BadStudy, match=r"11 images; with fewer than 12 it proves nothing"):
            make_plan(options)
        unproved = StudyOptions(options.recipe, images=options.images, settings={"accept": "best"})
        assert len(make_plan(unproved).images) == count
    else:
        make_plan(options)
        assert caplog.text.count("24 or more are advised") == noted


def test_a_gain_is_what_at_least_95_of_100_resamples_reach() -> None:
    assert least_gain([0.25] * 7) == 0.25
    assert least_gain([1.0, -1.0] * 10) < 0
    values = numpy.random.default_rng(1).normal(1, 1, 400).tolist()
    assert least_gain(values) == pytest.approx(sum(values) / 400 - 1.645 / 20, abs=0.02)


@pytest.mark.parametrize("images", [1, 3, 12, 700])
def test_a_gain_is_the_same_whether_resamples_are_drawn_at_once_or_in_parts(images: int) -> None:
    gains = numpy.random.default_rng(images).normal(size=images)
    drawn = numpy.random.default_rng(0).integers(images, size=(10_000, images))
    expected = float(numpy.quantile(gains[drawn].mean(1), 1 - 0.95))
    assert least_gain(gains.tolist()) == expected


@given(st.dictionaries(st.integers(0, 30), st.tuples(st.floats(0, 1), st.floats(0, 1))))
def test_a_comparison_is_paired_and_knows_the_direction(pairs: dict[int, Any]) -> None:
    before, after = ({key: pair[side] for key, pair in pairs.items()} for side in (0, 1))
    found = compare("one", 1, {**before, 99: math.nan}, {**after, 99: 1.0, 100: 0.5})
    assert found.images == len(pairs)
    turned = compare("one", -1, after, before)
    assert turned.images == found.images
    if pairs:
        assert turned.least == found.least
        assert found.least <= found.after - found.before + 1e-9
    else:
        assert not found.is_better
