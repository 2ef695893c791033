"""The value of a partition: which region every place of an image belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from ovsskit._lazy import Int, torch
from ovsskit.engine.examples import SIZE, uniform
from ovsskit.engine.values.spatial import Spatial, Window

Uncovered = Annotated[
    Literal["zero", "lowest"],
    Field(
        description="the number of places that are in no region: 0, or the lowest that is present, "
        "even if it is a region's (as CorrCLIP's released code)"
    ),
]


@dataclass(frozen=True, eq=False)
class Regions(Spatial):
    """Hold the number of every place's region, from 1; places of number 0 are in none."""

    data: Int[torch.Tensor, "h w"]

    @classmethod
    def example(cls, seed: int = 0) -> Regions:
        """Return blocks in up to five regions, some of them in none, at the image's size."""
        blocks = (uniform(seed + 4, 4, 5) * 6).long()
        return cls(blocks).resized(SIZE)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that no number is negative."""
        super().check(value)
        assert int(value.data.min()) >= 0, "a number is negative"

    def uncovered(self, how: Literal["zero", "lowest"]) -> Int[torch.Tensor, ""]:
        """Return the number of places that are in no region."""
        return self.data.min() if how == "lowest" else self.data.new_zeros(())

    def resized(self, size: Sequence[int]) -> Regions:
        """Return the regions at another size, by nearest neighbour: place i is i * old // new."""
        if list(self.data.shape) == list(size):
            return self
        rows, columns = (
            torch.arange(new, device=self.data.device) * old // new
            for old, new in zip(self.data.shape, size, strict=True)
        )
        return Regions(self.data[rows[:, None], columns])

    def crop(self, window: Window) -> Regions:
        """Return what a window shows, at the size of its image; margins are a region of their own.

        That region's number is above those of all others.
        """
        if window.is_whole and window.size == tuple(self.data.shape):
            return self
        data = self.resized(window.size).data
        shown = data[window.row, window.column]
        top, bottom, left, right = window.margins
        own = int(data.max()) + 1
        return Regions(torch.nn.functional.pad(shown, (left, right, top, bottom), value=own))
