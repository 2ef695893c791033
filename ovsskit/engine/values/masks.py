"""The value of proposals: masks that may overlap, whichever class each of them shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Bool, Float, Int, torch
from ovsskit.engine.examples import SIZE, uniform
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class Masks(Value):
    """Hold masks of an image, which may overlap, and how sure each of them is; there may be none.

    Scores are comparable among the masks of one image alone.
    """

    data: Bool[torch.Tensor, "mask h w"]
    scores: Float[torch.Tensor, " mask"]

    @classmethod
    def example(cls, seed: int = 0) -> Masks:
        """Return four overlapping boxes with random scores."""
        height, width = SIZE
        data = torch.zeros(4, height, width, dtype=torch.bool)
        for mask, (top, left, down, along) in zip(data, uniform(seed + 5, 4, 4), strict=True):
            row, column = int(top * height * 0.7), int(left * width * 0.7)
            below, right = row + 4 + int(down * height * 0.5), column + 4 + int(along * width * 0.5)
            mask[row:below, column:right] = True
        return cls(data, uniform(seed + 6, 4))

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a finite score for every mask, and that no mask is empty."""
        super().check(value)
        assert len(value.scores) == len(value.data), "not every mask has one score"
        assert value.scores.isfinite().all(), "a score is not finite"
        assert (value.areas > 0).all(), "a mask is empty"

    @property
    def areas(self) -> Int[torch.Tensor, " mask"]:
        """Return how many pixels every mask covers."""
        return self.data.flatten(1).sum(1)
