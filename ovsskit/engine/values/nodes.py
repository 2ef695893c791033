"""The value of patches that are the nodes of a graph, wherever in an image they lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import NAMES, SIZE, WIDTH, uniform
from ovsskit.engine.values.spatial import Spatial, Window

Box = tuple[int, int, int, int]
"""Top, bottom, left and right, in pixels of the image; bottom and right are the first outside."""


@dataclass(frozen=True)
class Tile:
    """Say where a grid of patches (rows, columns) lies.

    `seen` is what the network saw, with margins that were added; `inside` is what of it is image.
    """

    grid: tuple[int, int]
    seen: Box
    inside: Box

    @property
    def count(self) -> int:
        """Return the number of patches."""
        return self.grid[0] * self.grid[1]

    def within(self, window: Window) -> Tile:
        """Return where a tile of what a window shows lies in the window's image."""
        first = (window.row.start - window.margins[0], window.column.start - window.margins[2])
        down, right = first
        seen, inside = (
            (box[0] + down, box[1] + down, box[2] + right, box[3] + right)
            for box in (self.seen, self.inside)
        )
        row, column = window.row, window.column
        top, bottom = max(inside[0], row.start), min(inside[1], row.stop)
        left, end = max(inside[2], column.start), min(inside[3], column.stop)
        return replace(self, seen=seen, inside=(top, bottom, left, end))


@dataclass(frozen=True, eq=False)
class Nodes(Spatial):
    """Hold the scores of patches, and the vectors that say which of them belong together.

    Patches lie in tiles, such as windows, one tile after the other and row by row; tiles may
    overlap. `labels` says which label each row of scores is for, and may hold one twice. `size` is
    the height and width of the image.
    """

    data: Float[torch.Tensor, "class node"]
    vectors: Float[torch.Tensor, "node width"]
    labels: tuple[int, ...]
    tiles: tuple[Tile, ...]
    size: tuple[int, int]

    @classmethod
    def example(cls, seed: int = 0) -> Nodes:
        """Return random scores and vectors in two tiles that overlap."""
        height, width = SIZE
        boxes = ((0, height, 0, 20), (0, height, width - 20, width))
        tiles = tuple(Tile((3, 4), box, box) for box in boxes)
        count = sum(tile.count for tile in tiles)
        labels = tuple(range(1, len(NAMES) + 1))
        vectors = uniform(seed + 1, count, WIDTH) - 0.5
        return cls(uniform(seed, len(NAMES), count), vectors, labels, tiles, SIZE)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that tiles hold all nodes and lie in the image, and that all scores are finite."""
        super().check(value)
        assert len(value.labels) == len(value.data), "not every row has one label"
        assert sum(tile.count for tile in value.tiles) == len(value.vectors), "tiles hold others"
        assert value.data.isfinite().all(), "its scores are not finite"
        height, width = value.size
        for top, bottom, left, right in (tile.inside for tile in value.tiles):
            assert 0 <= top < bottom <= height, "a tile lies outside"
            assert 0 <= left < right <= width, "a tile lies outside"

    @property
    def places(self) -> Float[torch.Tensor, "node 2"]:
        """Return the middle of every patch: its row and column, in pixels."""
        found = []
        for tile in self.tiles:
            top, bottom, left, right = tile.seen
            sides = ((top, bottom, tile.grid[0]), (left, right, tile.grid[1]))
            rows, columns = (
                first
                + (torch.arange(count, device=self.data.device) + 0.5) * ((last - first) / count)
                for first, last, count in sides
            )
            found.append(torch.cartesian_prod(rows, columns))
        return torch.cat(found)
