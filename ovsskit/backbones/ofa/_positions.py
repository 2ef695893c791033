"""Where things are, as biases of attention: OFA adds no positions to its tokens.

Biases depend on the grid and on the length of the text, never on the image: they have no batch
axis.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate

Grid = tuple[int, int]
ORIGIN = 3
"""The last rows of a relative table: from position 0, to position 0, from 0 to itself."""
TEXT_NEAR, TEXT_FAR = 128, 1023
"""Text distances up to the first have a row each; up to the second they share logarithmic rows."""


def absolute_bias(
    query: nn.Linear,
    key: nn.Linear,
    here: Float[Tensor, "q d"],
    there: Float[Tensor, "k d"],
    heads: int,
) -> Float[Tensor, "heads q k"]:
    """Return how positions attract each other: scaled products of projected position embeddings."""
    scale = (2 * here.shape[1] // heads) ** -0.5
    left, right = (
        x.unflatten(1, (heads, -1)).transpose(0, 1) for x in (query(here) * scale, key(there))
    )
    found: Tensor = left @ right.transpose(1, 2)
    return found


@cache
def text_rows(length: int) -> Int[Tensor, "token token"]:
    """Return which row of the text table holds for each pair of a query and a key position."""
    place = torch.arange(length)
    distance = place[:, None] - place
    far = (distance.abs().clamp(min=TEXT_NEAR) / TEXT_NEAR).log() / math.log(TEXT_FAR / TEXT_NEAR)
    shared = (far * (TEXT_NEAR - 1)).ceil().long() + TEXT_NEAR
    steps = torch.where(distance.abs() <= TEXT_NEAR, distance, distance.sign() * shared)
    return steps + 2 * TEXT_NEAR - 1


def text_bias(
    table: Float[Tensor, "rows heads"], length: int
) -> Float[Tensor, "heads token token"]:
    """Return the bias between the words of a text."""
    rows = text_rows(length).to(table.device)
    return table[rows].permute(2, 0, 1)


def grid_bias(table: Float[Tensor, "rows heads"], side: int) -> Float[Tensor, "heads n n"]:
    """Return the bias between a square grid's cells, by the steps down and right from key to query.

    The table holds a square of steps, row by row, then `ORIGIN` rows. Each query sees a window of
    it.
    """
    reach = math.isqrt(len(table) - ORIGIN)
    steps = table[: reach * reach].T.unflatten(1, (reach, reach)).flip(1, 2)
    first = reach // 2 - side + 1
    windows = (
        steps[:, first : first + 2 * side - 1, first : first + 2 * side - 1]
        .unfold(1, side, 1)
        .unfold(2, side, 1)
    )
    found: Tensor = windows.flip(1, 2).flatten(3, 4).flatten(1, 2)
    return found


def resized_bias(bias: Float[Tensor, "heads n n"], grid: Grid) -> Float[Tensor, "heads m m"]:
    """Stretch the bias of a square grid to another grid, bilinearly over keys and over queries."""
    side = math.isqrt(bias.shape[1])
    if grid == (side, side):
        return bias
    keys = interpolate(bias.unflatten(2, (side, side)), grid, mode="bilinear").flatten(2)
    return (
        interpolate(keys.transpose(1, 2).unflatten(2, (side, side)), grid, mode="bilinear")
        .flatten(2)
        .transpose(1, 2)
    )


def resized_rows(rows: Float[Tensor, "n d"], grid: Grid) -> Float[Tensor, "m d"]:
    """Stretch the embeddings of a square grid to another grid, bilinearly."""
    side = math.isqrt(len(rows))
    if grid == (side, side):
        return rows
    square = rows.T.unflatten(1, (side, side))
    return interpolate(square[None], grid, mode="bilinear")[0].flatten(1).T


def with_origin(
    bias: Float[Tensor, "heads n n"], table: Float[Tensor, "rows heads"]
) -> Float[Tensor, "heads n+1 n+1"]:
    """Put position 0, which is not a cell, before the cells of a grid."""
    heads, count, _ = bias.shape
    from_origin, to_origin, itself = table[-ORIGIN:]
    row = torch.cat([itself[:, None], from_origin[:, None].expand(heads, count)], 1)
    column = to_origin[:, None, None].expand(heads, count, 1)
    return torch.cat([row[:, None], torch.cat([column, bias], 2)], 1)


def cell_rows(grid: Grid, side: int, trained: int) -> Int[Tensor, " n"]:
    """Return which rows of a table of `side` x `side` cells (row 0 is not a cell) belong to a grid.

    A grid of at most `trained` x `trained` cells starts in the table's upper left corner; where it
    is wider than the table, the rest of a row is read on from the table's next one, as the released
    code does.
    """
    rows, columns = grid if grid[0] * grid[1] <= trained * trained else (trained, trained)
    return (torch.arange(rows)[:, None] * side + torch.arange(columns) + 1).flatten()
