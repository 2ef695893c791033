"""What kinds of values that lie over an image can do: a window shows a part of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ovsskit._lazy import torch
from ovsskit.engine.values.value import Value
from ovsskit.errors import BadValue

P = TypeVar("P", bound="Spatial")
NO_MARGINS = (0, 0, 0, 0)


@dataclass(frozen=True)
class Window:
    """Say which rows and columns of an image of this size (height, width) a window shows.

    `margins` are rows and columns that are added around them, at the top, at the bottom, on the
    left and on the right; in images they have the `colour` (red, green and blue, 0 to 255).
    """

    size: tuple[int, int]
    row: slice
    column: slice
    margins: tuple[int, int, int, int] = NO_MARGINS
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def is_whole(self) -> bool:
        """Tell whether it shows the whole image and nothing else."""
        spans = (slice(0, self.size[0]), slice(0, self.size[1]))
        return (self.row, self.column) == spans and self.margins == NO_MARGINS

    @property
    def inside(self) -> tuple[int, int]:
        """Return how many rows and columns of the image it shows."""
        return self.row.stop - self.row.start, self.column.stop - self.column.start

    @property
    def shown(self) -> tuple[int, int]:
        """Return how many rows and columns it has, with margins."""
        top, bottom, left, right = self.margins
        return top + self.inside[0] + bottom, left + self.inside[1] + right

    def in_patches(self, grid: tuple[int, int]) -> Window:
        """Return the window in rows and columns of patches, of which the image has a grid.

        Raises:
            BadValue: an edge of the window lies inside a patch.
        """
        if grid == self.size:
            return self
        patches = [side / count for side, count in zip(self.size, grid, strict=True)]
        spans = [
            (span.start / patch, span.stop / patch)
            for span, patch in zip((self.row, self.column), patches, strict=True)
        ]
        margins = [one / patches[index // 2] for index, one in enumerate(self.margins)]
        if not all(number.is_integer() for number in (*spans[0], *spans[1], *margins)):
            rows, columns = (f"{span.start} to {span.stop}" for span in (self.row, self.column))
            raise BadValue(
                f"A window shows rows {rows} and columns {columns}; its edges lie inside patches "
                f"of {patches[0]:.4g} x {patches[1]:.4g} pixels.",
                fix="Let windows, strides, and the sides of the image be multiples of the patch.",
            )
        row, column = (slice(int(start), int(stop)) for start, stop in spans)
        top, bottom, left, right = map(int, margins)
        return Window(grid, row, column, (top, bottom, left, right))

    def cut(self, data: torch.Tensor) -> torch.Tensor:
        """Return what it shows of maps (`... rows cols`) over the image or its patches.

        Margins are 0.

        Raises:
            BadValue: an edge of the window lies inside a patch.
        """
        part = self.in_patches((data.shape[-2], data.shape[-1]))
        top, bottom, left, right = part.margins
        shown: torch.Tensor = data[..., part.row, part.column]
        if part.margins == NO_MARGINS:
            return shown
        return torch.nn.functional.pad(shown, (left, right, top, bottom))


@dataclass(frozen=True, eq=False)
class Spatial(Value):
    """Hold what lies over an image; a kind of which windows can be cut defines `crop`.

    The others hold what a network made of the image in one piece.
    """

    def crop(self: P, window: Window) -> P:
        """Return what a window shows; the value itself if that is all.

        Raises:
            BadValue: the window cannot be cut out of it.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be cut into windows")
