"""The value of the weights with which tokens take in each other."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, LAYERS, PATCH_TOKENS, uniform
from ovsskit.engine.values.spatial import Spatial


@dataclass(frozen=True, eq=False)
class Attention(Spatial):
    """Hold with what weight every token of `Hidden` takes in every other, for blocks and heads."""

    data: Float[torch.Tensor, "layer head token token"]
    layers: tuple[int, ...]
    grid: tuple[int, int]

    @classmethod
    def example(cls, seed: int = 0) -> Attention:
        """Return random weights of the last two layers, in two heads."""
        data = (uniform(seed, 2, 2, PATCH_TOKENS, PATCH_TOKENS) * 4).softmax(-1)
        return cls(data, (LAYERS - 1, LAYERS), GRID)
