"""Rewards, metrics and costs are objectives, one or several, and costs are limits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from ovsskit.cli.study_report import facts
from ovsskit.errors import OtherStudy
from ovsskit.recipe.build import load_recipe
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trial_result import TrialResult

Search = Callable[..., StudyState]
Write = Callable[..., Path]


def values(state: StudyState) -> list[tuple[object, ...]]:
    return [
        (row.turn, row.params, row.values) for row in sorted(state.rows, key=lambda row: row.turn)
    ]


def test_candidates_that_cost_too_much_do_not_count(
    search: Search, study_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Evaluator.judge

    def slow(self: Evaluator, values: dict[str, Any], *others: Any, **more: Any) -> TrialResult:
        return replace(judge(self, values, *others, **more), seconds=values.get("toy_cut.at", 0.0))

    monkeypatch.setattr(Evaluator, "judge", slow)
    state = search(study_file(tables="[constraints]\nseconds_per_image = 0.4\n"), trials=10)
    assert state.best is not None
    assert state.best.params["toy_cut.at"] <= 0.4
    assert {row.params["toy_cut.at"] > 0.4: row.broken for row in state.rows} == {
        True: ("seconds_per_image",),
        False: (),
    }


def test_memory_is_a_limit_too(search: Search, study_file: Write) -> None:
    state = search(study_file(tables="[constraints]\npeak_megabytes = 1.0\n"), trials=2)
    assert state.best is None
    assert all(row.broken == ("peak_megabytes",) for row in state.rows)
    assert all(row.result["megabytes"] > 1 for row in state.rows)
    assert not (state.out / "best.toml").exists()


def test_what_the_store_saves_still_counts_as_cost(search: Search, study_file: Write) -> None:
    tables = '[set]\n"toy_shade.layer" = 3\n[space]\n"toy_cut.at" = { low = 0.0, high = 1.0 }\n'
    state = search(study_file(tables=tables), trials=3)
    assert all(row.result["calls"] == 0 for row in state.rows)
    assert all(row.result["seconds"] > 0 for row in state.rows)


def test_several_objectives_give_a_pareto_front(search: Search, study_file: Write) -> None:
    tables = '[[objective]]\nuse = "toy_goal"\n[[objective]]\nuse = "toy_small"\nname = "small"\n'
    state = search(study_file(tables=tables), trials=20)
    kept = state.front
    assert len(kept) > 1
    for row in kept:
        for other in state.rows:
            assert other.values is not None
            assert row.values is not None
            assert not (
                all(b >= a for a, b in zip(row.values, other.values, strict=True))
                and other.values != row.values
            )
    files = sorted((state.out / "front").glob("*.toml"))
    assert len(files) == len(kept)
    for path in files:
        load_recipe(path)


def test_the_knee_is_listed_and_its_recipe_named(
    search: Search, study_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsskit.study.search.state.SHOWN", 1)
    tables = '[[objective]]\nuse = "toy_goal"\n[[objective]]\nuse = "toy_small"\nname = "small"\n'
    state = search(study_file(tables=tables), trials=20, draw=True)
    knee = state.knee
    assert knee in state.front[1:]
    names = [row[0] for row in state.table()]
    assert names == ["trial", "unchanged", str(state.front[0].turn), f"{knee.turn} knee"]
    [line] = [line for line in facts(state) if line.startswith("knee")]
    load_recipe(Path(line.removeprefix("knee").strip()))
    page = (state.out / "index.html").read_text()
    assert f"another: trial {knee.turn}, <a href=" in page
    assert page.count('"the knee"') == 1
    assert f'href="front/trial_{knee.turn:04d}.toml"' in page


def test_one_objective_has_no_knee(search: Search) -> None:
    state = search(trials=4)
    assert state.knee is None
    assert not any(line.startswith("knee") for line in facts(state))


def test_costs_can_be_objectives(search: Search, study_file: Write) -> None:
    state = search(study_file(), objectives=("toy_goal", "seconds"), trials=4)
    assert all(len(row.values or []) == 2 for row in state.rows)


def test_miou_is_an_objective_where_masks_exist(
    search: Search, study_file: Write, photos: Path
) -> None:
    tables = f'[objective]\nmetric = "miou"\nmasks = "{photos / "masks"}"\n'
    state = search(study_file(tables=tables), trials=30)
    best = state.best
    assert best is not None
    assert best.values is not None
    assert best.values[0] > 0.85
    assert state.default["values"][0] < 0.5


def test_a_metric_may_have_a_name_of_its_own(
    search: Search, study_file: Write, photos: Path
) -> None:
    masks = f'masks = "{photos / "masks"}"'
    tables = f'[[objective]]\nmetric = "miou"\nname = "quality"\n{masks}\n'
    tables += '[[objective]]\nmetric = "seconds"\nname = "miou"\n'
    state = search(study_file(tables=tables), trials=2)
    quality, seconds = state.default["values"]
    assert 0 < quality < 0.5
    assert seconds == pytest.approx(state.default["seconds"])


def test_a_study_with_other_masks_is_another(
    search: Search, study_file: Write, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos / "masks", tmp_path / "masks")
    study = study_file(tables='[objective]\nmetric = "miou"\nmasks = "masks"\n')
    search(study, trials=1)
    PIL.Image.open(tmp_path / "masks" / "p0.png").rotate(180).save(tmp_path / "masks" / "p0.png")
    with pytest.raises(OtherStudy, match="masks"):
        search(study, trials=1)
