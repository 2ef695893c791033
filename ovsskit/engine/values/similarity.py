"""The value of how alike tokens are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, LAYERS, PATCH_TOKENS, uniform
from ovsskit.engine.values.attention import check_tokens
from ovsskit.engine.values.spatial import Spatial


@dataclass(frozen=True, eq=False)
class Similarity(Spatial):
    """Hold how alike tokens are, for some blocks and heads: a softmax makes weights of it.

    A `term` is one way to compare, such as queries with queries. Tokens are those of `Hidden`,
    or its patches alone.
    """

    data: Float[torch.Tensor, "layer term head token token"]
    layers: tuple[int, ...]
    grid: tuple[int, int]

    @classmethod
    def example(cls, seed: int = 0) -> Similarity:
        """Return random similarities of the last two layers, in two terms and two heads."""
        data = uniform(seed, 2, 2, 2, PATCH_TOKENS, PATCH_TOKENS) * 4
        return cls(data, (LAYERS - 1, LAYERS), GRID)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there are matrices for every block, of all tokens or of the patches."""
        super().check(value)
        check_tokens(value.data, value.layers, value.grid)

    @property
    def others(self) -> int:
        """Return how many tokens before the patches take part: class tokens and registers."""
        return int(self.data.shape[-1]) - self.grid[0] * self.grid[1]
