"""The value of the weights with which tokens take in each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, LAYERS, PATCH_TOKENS, uniform
from ovsskit.engine.values.spatial import Spatial


@dataclass(frozen=True, eq=False)
class Attention(Spatial):
    """Hold with what weight every token of `Hidden` takes in every other, for blocks and heads.

    Tokens that are no patches may be left out; what patches alone take in may be on another grid
    than theirs.
    """

    data: Float[torch.Tensor, "layer head token token"]
    layers: tuple[int, ...]
    grid: tuple[int, int]

    @classmethod
    def example(cls, seed: int = 0) -> Attention:
        """Return random weights of the last two layers, in two heads."""
        data = (uniform(seed, 2, 2, PATCH_TOKENS, PATCH_TOKENS) * 4).softmax(-1)
        return cls(data, (LAYERS - 1, LAYERS), GRID)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a matrix for every block, of the grid's patches and perhaps others."""
        super().check(value)
        check_tokens(value.data, value.layers, value.grid)

    @property
    def others(self) -> int:
        """Return how many tokens before the patches take part: class tokens and registers."""
        return int(self.data.shape[-1]) - self.grid[0] * self.grid[1]


def check_tokens(
    data: Float[torch.Tensor, "layer *others token token"],
    layers: tuple[int, ...],
    grid: tuple[int, int],
) -> None:
    """Test that there are matrices for every block, of the grid's patches and perhaps others."""
    assert len(data) == len(layers), "not every block has a matrix"
    more = data.shape[-1] - grid[0] * grid[1]
    assert more >= 0, f"{data.shape[-1]} tokens are not those of the grid {grid}"
