"""Optuna's plots show what the trials were worth, by turn, whatever names there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial
from plotly.graph_objects import Figure

from ovsskit.errors import Place
from ovsskit.study.report.plots import (
    contour_plot,
    copy_study,
    front_plot,
    history_plot,
    importance_plot,
    intermediate_plot,
    parallel_plot,
    plot_html,
    slice_plots,
)
from ovsskit.study.search.trials import Row
from ovsskit.study.spec.objectives import Objective

BAD = "<script>alert('&lt;')</script>"
SPACE: dict[str, BaseDistribution] = {
    "threshold.at": FloatDistribution(0.0, 0.8),
    "head.layer": IntDistribution(1, 9),
    "map.align": CategoricalDistribution(("corners", "edges", BAD)),
}
GOALS = [
    Objective("miou", "maximize", Place("")),
    Objective("seconds", "minimize", Place("")),
    Objective("megabytes", "minimize", Place("")),
    Objective("reward", "maximize", Place("")),
]

Told = tuple[list[float] | None, dict[str, Any], bool]
TOLD: list[Told] = [
    ([0.4, 5.0, 90.0, 1.0], {"threshold.at": 0.1, "head.layer": 2, "map.align": "edges"}, False),
    ([0.2, 3.0, 80.0, 2.0], {"threshold.at": 0.7, "head.layer": 9, "map.align": BAD}, False),
    (None, {"threshold.at": 0.3, "head.layer": 4, "map.align": "edges"}, False),
    ([0.95, 1.0, 70.0, 3.0], {"threshold.at": 0.2, "head.layer": 5}, True),
    ([0.8, 9.0, 60.0, 4.0], {"threshold.at": 0.5, "map.align": "corners"}, False),
    ([0.7, 4.0, 50.0, 5.0], {"threshold.at": 0.4, "head.layer": 3, "map.align": BAD}, False),
]


def made(objectives: int, *, told: list[Told] = TOLD) -> tuple[optuna.Study, list[Row]]:
    """Return a study whose first trial died, so that numbers are not turns, and its rows as they
    ended.
    """
    study = optuna.create_study(directions=[one.direction for one in GOALS[:objectives]])
    study.add_trial(create_trial(state=TrialState.FAIL))
    rows = []
    for turn, (values, params, broken) in enumerate(told):
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if values else TrialState.PRUNED,
                values=values[:objectives] if values else None,
                params=params,
                distributions={key: SPACE[key] for key in params},
                constraints={"peak_megabytes": 1.0 if broken else -1.0},
                user_attrs={"turn": turn, "secret": BAD},
            )
        )
        state = "done" if values else "pruned"
        kept = values[:objectives] if values else None
        rows.append(Row(turn, turn + 1, state, params, kept, took=1.0, at=turn + 1.0))  # type: ignore[arg-type]
    return study, rows[::-1]


def copied(objectives: int, *, told: list[Told] = TOLD) -> optuna.Study:
    study, rows = made(objectives, told=told)
    return copy_study(study, rows, GOALS[:objectives])


def points(trace: Any) -> list[tuple[Any, ...]]:
    return list(zip(trace.x, trace.y, strict=True))


def test_a_copy_is_numbered_by_turns_and_a_turn_that_goes_on_shows_nothing() -> None:
    study, rows = made(2)
    missing = [row for row in rows if row.turn != 1]
    copy = copy_study(study, missing, GOALS[:1])
    trials = copy.get_trials()
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4, 5]
    assert [trial.values for trial in trials] == [[0.4], None, None, [0.95], [0.8], [0.7]]
    assert trials[1].state == TrialState.FAIL
    assert not any(trial.user_attrs for trial in trials)


def test_history_shows_trials_that_count_the_best_so_far_and_the_unchanged_recipe() -> None:
    figure = history_plot(copied(1), 0.5)
    values, best, broken = figure.data
    assert points(values) == [(0, 0.4), (1, 0.2), (4, 0.8), (5, 0.7)]
    assert points(broken) == [(3, 0.95)]
    assert points(best) == [(0, 0.4), (1, 0.4), (2, 0.4), (3, 0.4), (4, 0.8), (5, 0.8)]
    [line] = figure.layout.shapes
    assert (line.y0, line.y1) == (0.5, 0.5)
    assert figure.layout.annotations[0].text == "unchanged recipe"


def test_the_best_so_far_falls_where_less_is_better() -> None:
    study, rows = made(2)
    swapped = optuna.create_study(direction="minimize")
    for trial in study.get_trials()[1:]:
        swapped.add_trial(
            create_trial(state=trial.state, value=trial.values[1] if trial.values else None)
        )
    again = [Row(row.turn, row.turn, row.state, {}, None, 1.0, 1.0) for row in rows]
    best = history_plot(copy_study(swapped, again, GOALS[1:2]), None).data[1]
    assert list(best.y) == [5.0, 3.0, 3.0, 1.0, 1.0, 1.0]


def test_slices_hold_the_trials_that_took_the_parameter() -> None:
    figures = slice_plots(copied(1), 0.5)
    titles = [figure.layout.xaxis.title.text for figure in figures]
    assert titles == list(SPACE)
    layer = figures[1]
    assert points(layer.data[0]) == [(2, 0.4), (9, 0.2), (3, 0.7)]
    assert points(layer.data[1]) == [(5, 0.95)]
    assert all(figure.layout.shapes[0].y0 == 0.5 for figure in figures)


def test_parallel_lines_name_every_axis_whole() -> None:
    long = "a_stage_with_a_name.of_a_parameter_too_long_for_one_line"
    SPACE[long] = FloatDistribution(0.0, 1.0)
    told: list[Told] = [([value], {long: value}, False) for value in (0.1, 0.5, 0.9)]
    figure = parallel_plot(copied(1, told=told))
    assert list(figure.layout.xaxis.ticktext) == ["miou", long.replace(".", ".<br>")]
    assert [line.y[1] for line in figure.data[:3]] == pytest.approx([0.0, 0.5, 1.0])


def test_a_parameter_that_a_trial_leaves_out_is_none_in_parallel_coordinates() -> None:
    figure = parallel_plot(copied(1))
    told = [dict(line.customdata) for line in figure.data if line.customdata is not None]
    assert [one["head.layer"] for one in told] == ["2", "9", "5", "None", "3"]


def test_importance_weighs_what_the_trials_tell_apart() -> None:
    keys = ("threshold.at", "head.layer")
    told: list[Told] = [
        ([0.1 * (turn % 8)], dict(zip(keys, (0.1 * (turn % 8), turn % 3 + 1), strict=True)), False)
        for turn in range(24)
    ]
    figure = importance_plot(copied(1, told=told))
    assert figure is not None
    [bars] = figure.data
    weights = dict(zip(bars.y, bars.x, strict=True))
    assert weights.keys() == {*keys}
    assert weights["threshold.at"] > weights["head.layer"]


@pytest.mark.parametrize("count", [9, 12])
def test_importance_is_left_out_of_few_trials_and_of_equal_ones(count: int) -> None:
    told: list[Told] = [
        (
            [0.5 if count > 9 else 0.1 * turn],
            {"threshold.at": 0.05 * turn, "head.layer": turn % 3 + 1},
            False,
        )
        for turn in range(count)
    ]
    assert importance_plot(copied(1, told=told)) is None


def test_importance_is_left_out_where_one_parameter_is_alone() -> None:
    told: list[Told] = [([0.1 * turn], {"threshold.at": 0.05 * turn}, False) for turn in range(12)]
    assert importance_plot(copied(1, told=told)) is None


@pytest.mark.parametrize(("objectives", "axes"), [(2, 2), (3, 3), (4, 3)])
def test_the_front_stands_out_with_its_knee_and_the_unchanged_recipe(
    objectives: int, axes: int
) -> None:
    study, rows = made(objectives)
    knee = next(row for row in rows if row.turn == 5)
    figure = front_plot(copy_study(study, rows, GOALS[:objectives]), [0.5, 6.0, 95.0, 0.0], knee)
    broken, others, front, unchanged, marked = figure.data
    names = "xyz"[:axes]

    def places(trace: Any) -> list[list[float]]:
        return [list(one) for one in zip(*(trace[name] for name in names), strict=True)]

    assert places(broken) == [[0.95, 1.0, 70.0][:axes]]
    assert places(unchanged) == [[0.5, 6.0, 95.0][:axes]]
    assert places(marked) == [[0.7, 4.0, 50.0][:axes]]
    kept = [trial.number for trial in study.best_trials]
    assert places(front) == [study.trials[number].values[:axes] for number in kept]
    assert len(places(front)) + len(places(others)) == 4
    assert (unchanged.text[0], marked.text[0]) == ("unchanged", "knee")


def words(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield from (key, *words(value))
    elif isinstance(found, list):
        for value in found:
            yield from words(value)
    elif isinstance(found, str):
        yield found


def plots_of(name: str) -> list[Figure]:
    goals = [Objective(name, "maximize", Place("")), GOALS[1]]
    space = {name: SPACE["map.align"], f"{name}.at": SPACE["threshold.at"]}
    study = optuna.create_study(directions=["maximize", "minimize"])
    rows = []
    for turn in range(12):
        params = {name: (BAD, "edges")[turn % 2], f"{name}.at": 0.01 * turn}
        study.add_trial(
            create_trial(
                values=[0.1 * turn + turn % 2, turn],
                params=params,
                distributions=space,
                user_attrs={"secret": BAD},
            )
        )
        rows.append(Row(turn, turn, "done", params, None, 1.0, turn + 1.0))
    whole, first = copy_study(study, rows, goals), copy_study(study, rows, goals[:1])
    knee = Row(3, 3, "done", {}, [0.3, 3.0], 1.0, 1.0)
    importance = importance_plot(first)
    assert importance is not None
    figures = [history_plot(first, 0.5), importance, *slice_plots(first, 0.5)]
    return [*figures, parallel_plot(whole), front_plot(whole, [0.5, 1.0], knee)]


def test_names_and_choices_are_text_wherever_a_plot_shows_them() -> None:
    for figure in plots_of(f"a{BAD}"):
        found = list(words(json.loads(figure.to_json())))
        assert any("&lt;script&gt;" in word for word in found)
        assert not [word for word in found if "<script" in word or "</script" in word]
        assert not [word for word in found if "secret" in word]
        page = plot_html(figure, "here")
        assert page.count("<script") == page.count("</script") == 1
        assert "http" not in page


def test_the_contour_is_that_of_the_two_that_mattered_most() -> None:
    told: list[Told] = [
        (
            [1 - abs(number - 12) / 20 + (number % 3) / 100],
            {"threshold.at": number / 40, "head.layer": 1 + number % 3},
            False,
        )
        for number in range(24)
    ]
    study = copied(1, told=told)
    importance = importance_plot(study)
    figure = contour_plot(study, importance)
    assert figure is not None
    titles = {figure.layout.xaxis.title.text, figure.layout.yaxis.title.text}
    assert titles == {"threshold.at", "head.layer"}
    assert contour_plot(study, None) is None


def test_a_parameter_that_never_moved_has_no_contour() -> None:
    told: list[Told] = [
        ([number / 24], {"threshold.at": number / 40, "head.layer": 2}, False)
        for number in range(24)
    ]
    study = copied(1, told=told)
    assert contour_plot(study, importance_plot(study)) is None


def test_pruned_trials_show_what_they_gave_after_fewer_images() -> None:
    study, rows = made(1)
    assert intermediate_plot(copy_study(study, rows, GOALS[:1]), "gain") is None
    told = optuna.create_study(direction="maximize")
    trial = told.ask()
    trial.set_user_attr("turn", 0)
    trial.report(0.25, 1)
    trial.report(-0.5, 2)
    told.tell(trial, state=TrialState.PRUNED)
    row = Row(0, 0, "pruned", {}, None, 1.0, 1.0)
    figure = intermediate_plot(copy_study(told, [row], GOALS[:1]), "gain")
    assert figure is not None
    assert points(figure.data[0]) == [(1, 0.25), (2, -0.5)]
    assert figure.layout.yaxis.title.text == "gain"
