"""Samplers, pruners, constraints, objectives and presets on a recipe whose best parameters are
known.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import PIL.Image
import pytest
import skimage.segmentation
from rich.console import Console
from study_stages import BEST

from ovsskit.cli.study_report import best_table, facts
from ovsskit.errors import NoImages, OtherStudy, Place
from ovsskit.recipe.build import load_recipe
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.samplers import TURN, Halving, rungs
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


def test_failed_trials_are_told_and_do_not_stop_the_study(
    search: Search, study_file: Write
) -> None:
    state = search(study_file(tables='[set]\n"toy_cut.mode" = "fail above"\n'), trials=12)
    failed = [row for row in state.rows if row.state == "failed"]
    assert {row.params["toy_cut.at"] > 0.5 for row in failed} == {True}
    assert {row.reason for row in failed} == {"ZeroDivisionError: this stage divides by zero"}
    assert len(state.rows) == 12


def test_the_best_recipe_extends_the_original_with_its_comments(search: Search) -> None:
    state = search(trials=12)
    text = (state.out / "best.toml").read_text()
    assert "1 before; the lowest but one" in text
    assert "0.1 before; rather low" in text
    best = load_recipe(state.out / "best.toml")
    assert state.best is not None
    assert best.plan.stages[-1].at == state.best.params["toy_cut.at"]  # type: ignore[attr-defined]
    assert tomllib.loads(text)["extends"].endswith("toy.toml")


def test_the_report_gives_the_numbers_of_the_study_and_needs_nothing_from_elsewhere(
    search: Search,
) -> None:
    state = search(trials=12, draw=True)
    page = (state.out / "index.html").read_text()
    for part in ("History", "Slices", "Parallel coordinates", "data:image/jpeg"):
        assert part in page
    assert "http://" not in page
    assert "https://" not in page
    script = state.out / re.findall(r'<script src="([^"]*)"></script>', page)[0]
    assert "plotly.js" in script.read_text(encoding="utf-8")[:100]
    recorded = json.loads((state.out / "study.json").read_text())["files"]
    assert {"index.html", "plotly.min.js"} <= recorded.keys()
    plots = re.findall(r'Plotly\.newPlot\(\s*"([^"]*)"', page)
    sections = ("history", "importance", "contour", "slices", "parallel")
    assert Counter(place.split("-")[0] for place in plots) == dict.fromkeys(sections, 1) | {
        "slices": 2
    }
    best = state.best
    assert best is not None
    assert best.values is not None
    shown = re.findall(r"<b(?: class=\"better\")?>([^<]*)</b>", page)
    params = [f"{value:.4g}" for value in best.params.values()]
    assert shown[:2] == [f"{state.default['values'][0]:.4g}", f"{best.values[0]:.4g}"]
    assert shown[2 : 2 + len(params)] == params
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    assert [(one["turn"], one["values"]) for one in data["trials"]] == [
        (row.turn, row.values) for row in state.rows
    ]
    pairs = re.findall(
        r"<h3>(p\d)</h3>.*?unchanged: ([\d.]+)</figcaption>.*?best: ([\d.]+)</figcaption>",
        page,
        re.DOTALL,
    )
    assert len(pairs) == 6
    for name, before, after in pairs:
        index = [path.stem for path in state.plan.images].index(name)
        assert float(before) == pytest.approx(state.default["images"][str(index)], rel=1e-3)
        assert float(after) == pytest.approx(best.result["images"][str(index)], rel=1e-3)


def test_names_of_a_study_its_objectives_and_its_images_are_text_in_the_report(
    search: Search, study_file: Write, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(photos / "p1.png", folder / "<img src=x onerror=alert(1)>.png")
    tables = (
        '[[objective]]\nuse = "toy_goal"\nname = "<i>goal"\n'
        '[[objective]]\nmetric = "seconds"\nname = "</script><script>alert(2)</script>"\n'
        '[space]\n"toy_cut.mode" = { choices = ["", "<script>alert(3)</script>"] }\n'
    )
    study = study_file('name = "one & two"', tables)
    state = search(study, draw=True, images=(str(folder),), trials=2)
    page = (state.out / "index.html").read_text()
    assert "<h1>one &amp; two</h1>" in page
    assert "&lt;img src=x" in page
    for told in ("<img src=x", "<i>goal", "<script>alert"):
        assert told not in page


def test_the_table_of_the_best_trials(search: Search) -> None:
    state = search(trials=6, sampler="random")
    console = Console(width=120)
    with console.capture() as captured:
        console.print(best_table(state))
    lines = [line.split() for line in captured.get().splitlines()]
    [default, *shown] = lines[-7:]
    assert default[:2] == ["unchanged", f"{state.default['values'][0]:.4g}"]
    ranked = sorted(state.rows, key=lambda row: -(row.values or [0.0])[0])
    for line, row in zip(shown, ranked, strict=True):
        assert row.values is not None
        params = [f"{value:.4g}" for value in row.params.values()]
        assert line == [str(row.turn), f"{row.values[0]:.4g}", *params, f"{row.took:.1f}"]
    assert facts(state)[0] == "trials          6 done"


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
