"""What a person reads off the axes of a study's charts is what the trials were worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from ovsskit.errors import Place
from ovsskit.study.report.charts import (
    BOTTOM,
    TOP,
    Chart,
    Tick,
    front_chart,
    history_chart,
    parallel_chart,
    slice_charts,
)
from ovsskit.study.search.trials import Row, front
from ovsskit.study.spec.space import Dimension

HERE = Place("")
SPACE = [
    Dimension("threshold.at", "float", HERE, low=0.0, high=0.8),
    Dimension("blur.sigma", "float", HERE, low=0.01, high=1.0, log=True),
    Dimension("head.layer", "int", HERE, low=1, high=9),
    Dimension("map.align", "choice", HERE, choices=("corners", "edges", "none")),
]


def row(turn: int, values: list[float] | None, *tried: object, broken: bool = False) -> Row:
    params = dict(zip((one.address for one in SPACE), tried, strict=True))
    return Row(
        turn,
        turn,
        "done" if values else "pruned",
        params,
        values,
        took=2.0,
        at=2.0 * (turn + 1),
        broken=("megabytes",) * broken,
    )


ROWS = [
    row(0, [0.4, 9.0], 0.1, 0.02, 2, "edges"),
    row(1, [0.2, 3.0], 0.7, 0.5, 9, "none"),
    row(2, None, 0.3, 0.1, 4, "edges"),
    row(3, [0.95, 1.0], 0.2, 0.3, 5, "edges", broken=True),
    row(4, [0.8, 7.0], 0.5, 0.9, 6, "corners"),
    row(5, [0.6, 8.0], 0.4, 0.05, 3, "none"),
]
JUDGED = [one for one in ROWS if one.values]


def read(ticks: Sequence[Tick], place: float, *, log: bool = False) -> float:
    """Return the number at a place of an axis, told from its first and its last mark."""
    places = [tick.place for tick in ticks]
    numbers = [math.log(float(tick.text)) if log else float(tick.text) for tick in ticks]
    slope = (numbers[-1] - numbers[0]) / (places[-1] - places[0])
    number = numbers[0] + (place - places[0]) * slope
    return math.exp(number) if log else number


def first(one: Row) -> float:
    assert one.values is not None
    return one.values[0]


def test_history_shows_every_trial_and_the_best_so_far() -> None:
    chart = history_chart(ROWS, "miou", 1, 0.5)
    assert [(round(read(chart.across, one.x), 1), one.kind) for one in chart.points] == [
        (1, "trial"),
        (2, "trial"),
        (4, "broken"),
        (5, "trial"),
        (6, "trial"),
    ]
    for point, one in zip(chart.points, JUDGED, strict=True):
        assert read(chart.up, point.y) == pytest.approx(first(one), abs=0.01)
        assert point.title.startswith(f"trial {one.turn}: {first(one):.4g}")
    best, was = chart.paths
    corners = [(round(read(chart.across, x), 1), read(chart.up, y)) for x, y in best.places]
    expected = [(1, 0.4), (2, 0.4), (2, 0.4), (3, 0.4), (3, 0.4), (4, 0.4), (4, 0.4)]
    expected += [(5, 0.4), (5, 0.8), (6, 0.8), (6, 0.8)]
    assert [x for x, _ in corners] == [x for x, _ in expected]
    assert [y for _, y in corners] == pytest.approx([y for _, y in expected], abs=0.01)
    assert [read(chart.up, y) for _, y in was.places] == pytest.approx([0.5, 0.5], abs=0.01)


def test_the_best_so_far_falls_where_less_is_better() -> None:
    best, _ = history_chart(ROWS, "seconds", -1, 0.5).paths
    chart = history_chart(ROWS, "seconds", -1, 0.5)
    assert read(chart.up, best.places[-1][1]) == pytest.approx(0.2, abs=0.01)


def test_slices_show_every_trial_over_each_parameter() -> None:
    start = {"threshold.at": 0.45, "blur.sigma": 0.2, "head.layer": 8, "map.align": "corners"}
    for chart, one in zip(slice_charts(ROWS, SPACE, start, 0.5), SPACE, strict=True):
        assert chart.title == one.address
        words = {tick.place: tick.text for tick in chart.across}
        values = [row.params[one.address] for row in JUDGED] + [start[one.address]]
        for point, value in zip(chart.points, values, strict=True):
            if one.choices:
                assert words[point.x] == value
            else:
                assert read(chart.across, point.x, log=one.log) == pytest.approx(value, rel=0.03)
        heights = [read(chart.up, point.y) for point in chart.points]
        assert heights == pytest.approx([*map(first, JUDGED), 0.5], abs=0.01)
        assert [point.kind for point in chart.points] == ["trial"] * 5 + ["was"]


def test_the_first_recipe_is_left_out_of_a_slice_that_does_not_hold_it() -> None:
    [*_, words] = slice_charts(ROWS, SPACE, {"map.align": "middles"}, 0.5)
    assert [point.kind for point in words.points] == ["trial"] * 5


@pytest.mark.parametrize("sign", [1, -1])
def test_parallel_lines_are_the_warmer_the_better(sign: int) -> None:
    chart = parallel_chart(ROWS, SPACE, "miou", sign)
    assert [tick.text for tick in chart.across] == [*(one.address for one in SPACE), "miou"]
    axes = [path for path in chart.paths if path.kind == "axis"]
    strands = [path for path in chart.paths if path.kind == "strand"]
    assert [path.places[0][0] for path in axes] == [tick.place for tick in chart.across]
    assert [path.hue for path in strands] == [0, 0.25, 0.5, 0.75, 1]
    ranked = sorted(JUDGED, key=lambda one: sign * first(one))
    for strand, one in zip(strands, ranked, strict=True):
        assert strand.title.startswith(f"trial {one.turn}:")
        for (x, y), axis, dimension in zip(strand.places, chart.across, SPACE, strict=False):
            assert x == axis.place
            assert y == pytest.approx(height_of(dimension, one.params[dimension.address]), abs=0.06)
        assert read(marks(chart, -1), strand.places[-1][1]) == pytest.approx(first(one), abs=0.01)


def height_of(dimension: Dimension, value: object) -> float:
    """Return where a value stands on an upright axis from the lowest value at the bottom to the
    highest on top.
    """
    if isinstance(value, str):
        part = (dimension.choices.index(value) + 0.5) / len(dimension.choices)
    elif dimension.log:
        assert isinstance(value, float)
        part = math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
    else:
        assert isinstance(value, int | float)
        part = (value - dimension.low) / (dimension.high - dimension.low)
    return 320 - BOTTOM - part * (320 - BOTTOM - TOP)


def marks(chart: Chart, column: int) -> list[Tick]:
    """Return the marks of one upright axis of parallel coordinates."""
    x = chart.across[column].place
    return [Tick(point.y, point.title) for point in chart.points if point.x == x]


def test_the_front_stands_out_among_all_trials() -> None:
    kept = front(ROWS, (1, -1))
    chart = front_chart(ROWS, kept, ("miou", "seconds"), (0.5, 5.0))
    assert chart.title == "seconds over miou"
    assert chart.label == "miou"
    kinds = {point.title.split(":")[0]: point.kind for point in chart.points}
    assert kinds == {
        "trial 0": "trial",
        "trial 1": "front",
        "trial 3": "trial",
        "trial 4": "front",
        "trial 5": "trial",
        "the unchanged recipe": "was",
    }
    pairs = [one.values for one in JUDGED] + [[0.5, 5.0]]
    for point, pair in zip(chart.points, pairs, strict=True):
        assert [read(chart.across, point.x), read(chart.up, point.y)] == pytest.approx(
            pair, abs=0.05
        )
