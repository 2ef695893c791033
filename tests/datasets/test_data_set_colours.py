"""Every class has a colour of its own, as far as there is room, however many classes there are."""

from __future__ import annotations

import pytest

from ovsskit.datasets.colours import BLACK, distinct_colours, without_doubles


@pytest.mark.parametrize("count", [1, 30, 1000])
def test_equal_colours_are_replaced_by_others(count: int) -> None:
    found = without_doubles([(10, 200, 30)] * count, None)
    assert len({*found}) == count
    assert found[0] == (10, 200, 30)
    assert BLACK not in found


def test_few_colours_are_told_apart_easily() -> None:
    found = without_doubles([(10, 200, 30)] * 30, None)
    for index, one in enumerate(found):
        for other in found[:index]:
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) >= 16


def test_there_is_an_end_where_there_is_no_room_left() -> None:
    assert len(without_doubles(distinct_colours(4000), 0)) == 4000


def test_black_stays_the_backgrounds() -> None:
    found = without_doubles([BLACK, BLACK, (1, 1, 1)], 0)
    assert found[0] == BLACK
    assert found[1] != BLACK
    assert found[2] == (1, 1, 1)
