"""The knee of a Pareto front: known ones, and what no scale and no order changes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.study.search.knee import knee_of
from ovsskit.study.search.trials import Row, front

SIGNS = {2: (1, -1), 3: (1, -1, -1)}
Points = list[tuple[float, ...]]


def rows_of(points: Sequence[Sequence[float]]) -> list[Row]:
    return [
        Row(turn, turn, "done", {}, list(point), took=1.0, at=turn + 1.0)
        for turn, point in enumerate(points)
    ]


def knee(points: Sequence[Sequence[float]], signs: Sequence[int]) -> tuple[float, ...] | None:
    found = knee_of(front(rows_of(points), signs), signs)
    return None if found is None else tuple(found.values or ())


clouds = st.sampled_from([2, 3]).flatmap(
    lambda count: st.lists(
        st.tuples(*[st.integers(-50, 50).map(float)] * count), min_size=1, max_size=25
    )
)


def test_the_knee_of_a_bent_front_is_where_it_bends() -> None:
    # reward against seconds: from 1 s to 2 s the reward doubles, after that it hardly grows
    points = [(0.30, 1.0), (0.60, 2.0), (0.62, 6.0), (0.64, 10.0)]
    assert knee(points, (1, -1)) == (0.60, 2.0)


@pytest.mark.parametrize(
    "points",
    [
        [(1.0, 2.0)],
        [(1.0, 2.0), (2.0, 4.0)],
        [(1.0, 2.0), (2.0, 4.0), (1.0, 2.0), (2.0, 4.0)],
        [(0.1, 1.0), (0.2, 2.0), (0.3, 3.0)],
        [(1.0, 1.0), (1.2, 5.0), (2.0, 6.0)],
    ],
    ids=["one", "two", "two, twice", "on a line", "behind the line"],
)
def test_a_front_without_a_bend_has_no_knee(points: Points) -> None:
    assert knee(points, (1, -1)) is None


def test_the_earliest_of_equal_trials_is_the_knee() -> None:
    points = [(0.3, 1.0), (0.6, 2.0), (0.64, 10.0), (0.6, 2.0)]
    found = knee_of(front(rows_of(points)[::-1], (1, -1)), (1, -1))
    assert found is not None
    assert found.turn == 1


def test_of_three_objectives_the_knee_is_nearest_to_the_best_of_each() -> None:
    points = [(1.0, 9.0, 900.0), (0.0, 1.0, 900.0), (0.2, 9.0, 100.0), (0.7, 3.0, 300.0)]
    assert knee(points, (1, -1, -1)) == (0.7, 3.0, 300.0)


def test_an_objective_that_is_the_same_in_all_trials_does_not_count() -> None:
    points = [(0.3, 7.0, 1.0), (0.6, 7.0, 2.0), (0.64, 7.0, 10.0)]
    assert knee(points, (1, -1, -1)) == (0.6, 7.0, 2.0)


def test_rounding_makes_no_knee() -> None:
    """Points that differ by less than half of the ninth decimal of their range are equal."""
    line, nearly, bent = (((0.0, 0.0), (0.5 + more, 0.5), (1.0, 1.0)) for more in (0, 4e-10, 6e-10))
    assert knee(line, (1, -1)) is None
    assert knee(nearly, (1, -1)) is None
    assert knee(bent, (1, -1)) == bent[1]
    equals = [(0.0, 0.0), (0.7, 0.5), (0.8 + 4e-10, 0.6), (1.0, 1.0)]
    found = knee_of(front(rows_of(equals), (1, -1)), (1, -1))
    assert found is not None
    assert found.turn == 1


@given(clouds)
def test_the_knee_is_on_the_front_and_as_far_from_its_ends_as_any(points: Points) -> None:
    signs = SIGNS[len(points[0])]
    kept = front(rows_of(points), signs)
    found = knee_of(kept, signs)
    if len({tuple(row.values or ()) for row in kept}) < 3:
        assert found is None
    if found is None:
        return
    assert found in kept
    if len(signs) == 2:
        first, last = kept[0].values, kept[-1].values
        assert first is not None
        assert last is not None
        assert found.values not in (first, last)
        assert all(distance(found, first, last) >= distance(row, first, last) for row in kept)


def distance(row: Row, first: Sequence[float], last: Sequence[float]) -> float:
    """Return how far a trial lies on the better side of the line through the ends of a front, whose
    best in the first objective comes first, in shares of its range.
    """
    assert row.values is not None
    x, y = (
        (value - one) / (other - one)
        for value, one, other in zip(row.values, first, last, strict=True)
    )
    return round((y - x) / math.sqrt(2), 9)


@given(clouds, st.integers(1, 1000), st.integers(-1000, 1000), st.integers(0, 2))
def test_no_unit_changes_the_knee(points: Points, factor: int, shift: int, which: int) -> None:
    signs = SIGNS[len(points[0])]
    column = which % len(signs)

    def other(point: tuple[float, ...]) -> tuple[float, ...]:
        return (*point[:column], point[column] * factor + shift, *point[column + 1 :])

    before, after = knee(points, signs), knee(list(map(other, points)), signs)
    assert after == (None if before is None else other(before))


@given(clouds, st.randoms(use_true_random=False))
def test_no_order_of_the_trials_changes_the_knee(points: Points, chance: random.Random) -> None:
    signs = SIGNS[len(points[0])]
    rows = rows_of(points)
    shuffled = chance.sample(rows, len(rows))
    before, after = (knee_of(front(each, signs), signs) for each in (rows, shuffled))
    assert (before and before.turn) == (after and after.turn)
