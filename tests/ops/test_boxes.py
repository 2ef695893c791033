from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ovsskit.ops.boxes import hot_places, inside_boxes, rectangle_of, scale

HOT = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def flooded(hot: torch.Tensor) -> torch.Tensor:
    """Return what lies in the rectangles, each part found by a flood over its eight neighbours."""
    rows, columns = hot.shape
    left = {(row, column) for row, column in hot.nonzero().tolist()}
    inside = torch.zeros_like(hot)
    while left:
        part, front = set(), [left.pop()]
        while front:
            row, column = front.pop()
            part.add((row, column))
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
            front += around & left
            left -= around
        tall, wide = [row for row, _ in part], [column for _, column in part]
        bottom, right = min(max(tall) + 1, rows - 1), min(max(wide) + 1, columns - 1)
        inside[min(tall) : bottom, min(wide) : right] = True
    return inside


@given(HOT)
def test_boxes_are_those_around_parts_that_touch_at_a_side_or_corner(hot: object) -> None:
    places = torch.as_tensor(hot)
    assert torch.equal(inside_boxes(places[None].float(), [0.5])[0], flooded(places))


@given(HOT)
def test_one_rectangle_around_all_that_is_hot(hot: object) -> None:
    places = torch.as_tensor(hot)
    rows, columns = rectangle_of(places)
    assert rows.stop <= max(places.shape[0] - 1, 0)
    assert columns.stop <= max(places.shape[1] - 1, 0)
    outside = places.clone()
    outside[rows, columns] = False
    assert not outside[:-1, :-1].any()
    if places.any():
        assert rows.start == int(places.any(1).nonzero()[0])
        assert columns.start == int(places.any(0).nonzero()[0])
    else:
        assert places[rows, columns].numel() == 0


def test_the_last_row_and_column_never_belong_to_a_box() -> None:
    everywhere = torch.ones(3, 4)
    expected = torch.ones(3, 4, dtype=torch.bool)
    expected[-1], expected[:, -1] = False, False
    assert torch.equal(inside_boxes(everywhere[None], [0.4])[0], expected)
    for line in (torch.ones(1, 5), torch.ones(5, 1), torch.ones(1, 1)):
        assert not inside_boxes(line[None], [0.4]).any()


def test_a_place_is_hot_by_its_byte_not_by_its_fraction() -> None:
    values = torch.tensor([[102.9, 103.0, 101.0, 255.0]]) / 255
    assert hot_places(values[None], [0.4]).tolist() == [[[False, True, False, True]]]
    assert not hot_places(torch.zeros(1, 2, 2), [0.4]).any()


def test_a_map_is_scaled_and_a_constant_one_becomes_zero() -> None:
    maps = torch.tensor([[[1.0, 3.0], [2.0, 5.0]], [[7.0, 7.0], [7.0, 7.0]]])
    assert scale(maps).tolist() == [[[0.0, 0.5], [0.25, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    assert scale(maps, 4.0)[0].tolist() == [[0.0, 0.25], [0.125, 0.5]]
