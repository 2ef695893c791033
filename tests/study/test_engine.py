"""Samplers and presets find the parameters of a recipe whose best ones are known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import skimage.segmentation
from study_stages import BEST

from ovsskit.errors import NoImages, Place
from ovsskit.recipe.build import load_recipe
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trial_result import TrialResult
from ovsskit.study.spec.dimension import Dimension
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.read_search import read_search

Search = Callable[..., StudyState]
Write = Callable[..., Path]


def values(state: StudyState) -> list[tuple[object, ...]]:
    return [
        (row.turn, row.params, row.values) for row in sorted(state.rows, key=lambda row: row.turn)
    ]


def test_a_study_beats_the_recipe_and_runs_the_network_once_for_each_layer(search: Search) -> None:
    state = search(trials=40)
    best = state.best
    assert best is not None
    assert best.values is not None
    assert best.values[0] > state.default["values"][0] + 0.3
    assert (
        abs(best.params["toy_cut.at"] - BEST["toy_cut.at"]) < 0.15
        or best.params["toy_shade.layer"] != 2
    )
    calls, saved = state.calls["calls"], state.calls["saved"]
    layers = {row.params["toy_shade.layer"] for row in state.rows} | {1}
    assert calls == 6 * len(layers)
    assert calls + saved == 6 * 41


def test_what_follows_from_an_image_alone_is_computed_once(
    search: Search, study_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    real = skimage.segmentation.felzenszwalb

    def count(image: Any, **settings: Any) -> Any:
        seen.append(image.shape)
        return real(image, **settings)

    monkeypatch.setattr(skimage.segmentation, "felzenszwalb", count)
    tables = '[objective]\nuse = "region_reward"\nminimum = 4\n'
    state = search(study_file(tables=tables), trials=5)
    assert len({str(row.values) for row in state.rows}) > 1
    assert len(seen) == 6, "once for each image, the unchanged recipe and the report included"


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "cmaes", "annealing"])
def test_the_same_seed_tries_the_same_and_another_does_not(search: Search, sampler: str) -> None:
    options = {"trials": 12 if sampler in ("gp", "tpe") else 5, "sampler": sampler}
    first, again = (search(out=out, **options) for out in ("first", "again"))
    assert values(first) == values(again)
    assert values(first)[1:] != values(search(out="other", seed=1, **options))[1:]
    assert [row.turn for row in first.rows] == list(range(options["trials"]))  # type: ignore[call-overload]


def test_the_first_trial_is_the_recipe_as_it_is_unless_told_otherwise(
    search: Search, study_file: Write
) -> None:
    first = search(trials=2).rows[0]
    assert first.params == {"toy_shade.layer": 1, "toy_cut.at": 0.1}
    state = search(study_file("as_it_is = false"), out="other", trials=2)
    assert state.rows[0].params != first.params
    assert state.default["values"] == first.values


def test_the_recipe_as_it_is_is_run_once(
    search: Search, study_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[dict[str, Any]] = []
    judge = Evaluator.judge

    def watch(self: Evaluator, values: Any, *others: Any, **more: Any) -> TrialResult:
        judged.append(dict(values))
        return judge(self, values, *others, **more)

    monkeypatch.setattr(Evaluator, "judge", watch)
    space = """
[space]
"toy_shade.layer" = { low = 1, high = 2 }
"toy_cut.at"      = { choices = [0.1, 0.3] }
"""
    state = search(study_file('sampler = "grid"\nas_it_is = false', space), pruner="wilcoxon")
    as_it_is = {"toy_shade.layer": 1, "toy_cut.at": 0.1}
    assert judged[0] == {}
    assert len(judged) == 4
    assert as_it_is not in judged
    [row] = [row for row in state.rows if row.params == as_it_is]
    assert row.values == state.default["values"]
    assert row.result["images"] == state.default["images"]
    assert row.result["calls"] == 0


def test_a_grid_tries_every_point_once(search: Search, study_file: Write) -> None:
    tables = """
[space]
"toy_shade.layer" = { low = 1, high = 3 }
"toy_cut.at"      = { low = 0.1, high = 0.5, step = 0.2 }
"toy_dim"         = { choices = ["on", "off"] }
"toy_dim.by"      = { choices = [0.5, 1.0] }
"""
    state = search(study_file('sampler = "grid"', tables))
    points = Counter(json.dumps(row.params, sort_keys=True) for row in state.rows)
    assert len(state.rows) == state.total == 3 * 3 * (2 + 1)
    assert set(points.values()) == {1}
    fewer = search(study_file('sampler = "grid"', tables), out="fewer", trials=5)
    assert len(fewer.rows) == 5


def test_stages_are_switched_off_and_their_parameters_left_out(
    search: Search, study_file: Write
) -> None:
    tables = """
[space]
"toy_dim"        = { choices = ["on", "off"] }
"toy_dim.by"     = { low = 0.0, high = 1.0 }
"toy_twice"      = { choices = ["on", "off"] }
"toy_twice.away" = { low = 0.0, high = 1.0 }
"toy_cut.at"     = { low = 0.0, high = 1.0 }
"""
    state = search(study_file(tables=tables), trials=16)
    for row in state.rows:
        assert ("toy_dim.by" in row.params) == (row.params["toy_dim"] == "on")
        assert ("toy_twice.away" in row.params) == (row.params["toy_twice"] == "on")
    assert {row.params["toy_dim"] for row in state.rows} == {"on", "off"}
    off = next(
        row for row in state.rows if row.params["toy_dim"] == row.params["toy_twice"] == "off"
    )
    from ovsskit.study.report.best import recipe_texts

    [text] = recipe_texts(state, [off], state.out)
    (state.out / "off.toml").write_text(text)
    recipe = load_recipe(state.out / "off.toml")
    assert [stage.address for stage in recipe.plan.stages] == ["toy_twice", "toy_cut"]
    assert recipe.plan.stages[0].away == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("preset", ["pnp_ovss", "pnp_ovss_annealing"])
def test_a_preset_divides_the_layers_among_three_groups_of_34_trials(
    search: Search, study_file: Write, preset: str
) -> None:
    text = f'preset = "{preset}"\nsplit = "toy_shade.layer"'
    state = search(
        study_file(
            text,
            (
                '[space]\n"toy_shade.layer" = { low = 0, high = 4 }\n'
                '"toy_cut.at" = { low = 0, high = 1 }\n'
            ),
        ),
        limit=1,
    )
    layers = [
        {row.params["toy_shade.layer"] for row in state.rows if row.turn // 34 == group}
        for group in range(3)
    ]
    assert len(state.rows) == 102
    assert layers == [{0}, {1, 2}, {3, 4}]
    bests = [row.values[0] for row in state.groups if row is not None and row.values is not None]
    assert state.best is not None
    assert state.best.values == [max(bests)]


def test_failed_trials_are_told_and_do_not_stop_the_study(
    search: Search, study_file: Write
) -> None:
    state = search(study_file(tables='[set]\n"toy_cut.mode" = "fail above"\n'), trials=12)
    failed = [row for row in state.rows if row.state == "failed"]
    assert {row.params["toy_cut.at"] > 0.5 for row in failed} == {True}
    assert {row.reason for row in failed} == {"ZeroDivisionError: this stage divides by zero"}
    assert len(state.rows) == 12


def test_an_image_that_cannot_be_read_is_left_out_and_makes_no_other_study(
    search: Callable[..., StudyState],
    photos: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n, and then nothing")
    whole = tuple(map(str, sorted(photos.glob("*.png"))))
    before = search(images=(*whole, str(broken)), trials=3)
    assert len(before.plan.images) == len(whole)
    assert f"{broken} is left out: This is not an image of a known format" in caplog.text
    after = search(images=whole, trials=4)
    assert [row.values for row in after.rows][:3] == [row.values for row in before.rows]


def test_a_study_of_images_none_of_which_can_be_read_says_why(
    search: Callable[..., StudyState], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    with pytest.raises(NoImages, match="No image can be read") as caught:
        search(images=(str(broken),), trials=1)
    assert caught.value.there == f"{broken} is left out: The file is empty."


def test_addresses_of_a_space_need_no_quotes(study_file: Callable[..., Path]) -> None:
    tables = (
        "[space]\ntoy_shade.layer = { low = 0, high = 4 }\n"
        "toy_cut.at = { choices = [0.2, 0.6] }\n"
        "[set]\ntoy_twice.away = 0.5\n"
    )
    found = read_search(StudyOptions(str(study_file(tables=tables))))
    assert [one.address for one in found.space] == ["toy_shade.layer", "toy_cut.at"]
    assert found.fixed == {"toy_twice.away": 0.5}
    assert found.space[0].place.line == 4


def test_a_range_too_long_to_list_is_not_listed() -> None:
    one = Dimension("toy_wide.at", "int", Place("x"), 0, 10**12)
    assert one.values() is None
    assert one.holds(10**11)
    assert not one.holds(-1)
