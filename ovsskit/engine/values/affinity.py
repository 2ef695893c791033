"""The values of how much patches belong together: raw, and as weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, uniform
from ovsskit.engine.values.spatial import Spatial

PATCHES = GRID[0] * GRID[1]


@dataclass(frozen=True, eq=False)
class PatchAffinity(Spatial):
    """Hold a number for every two patches of a grid, which may be another than the tokens'."""

    data: Float[torch.Tensor, "patch patch"]
    grid: tuple[int, int]

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a row and a column for every patch of the grid."""
        super().check(value)
        patches = value.grid[0] * value.grid[1]
        assert value.data.shape == (patches, patches), "not every patch has a row and a column"


@dataclass(frozen=True, eq=False)
class PatchSimilarity(PatchAffinity):
    """Hold how alike every two patches are, whatever model says so: a softmax makes weights."""

    @classmethod
    def example(cls, seed: int = 0) -> PatchSimilarity:
        """Return the cosines of random vectors."""
        unit = torch.nn.functional.normalize(uniform(seed, PATCHES, 4) - 0.3)
        return cls(unit @ unit.T, GRID)


@dataclass(frozen=True, eq=False)
class PatchWeights(PatchAffinity):
    """Hold with what weight every patch takes in every other; each row sums to about 1."""

    @classmethod
    def example(cls, seed: int = 0) -> PatchWeights:
        """Return the softmax of random numbers."""
        return cls((uniform(seed, PATCHES, PATCHES) * 4).softmax(-1), GRID)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that no weight is negative."""
        super().check(value)
        assert (value.data >= 0).all(), "a weight is negative"
