"""The value of the tokens inside an image encoder."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, LAYERS, PATCH_TOKENS, WIDTH, uniform
from ovsskit.engine.values.spatial import Spatial


@dataclass(frozen=True, eq=False)
class Hidden(Spatial):
    """Hold the tokens that enter blocks of an image encoder: those of patches stand last.

    Before them stands the class token, or several and registers, or none, as the model has it.
    `layers` are the blocks' numbers, from 1.
    """

    data: Float[torch.Tensor, "layer token width"]
    layers: tuple[int, ...]
    grid: tuple[int, int]

    @classmethod
    def example(cls, seed: int = 0) -> Hidden:
        """Return random tokens of the last two layers."""
        return cls(uniform(seed, 2, PATCH_TOKENS, WIDTH) - 0.5, (LAYERS - 1, LAYERS), GRID)

    @property
    def others(self) -> int:
        """Return how many tokens stand before the patches: class tokens and registers."""
        return int(self.data.shape[1]) - self.grid[0] * self.grid[1]

    def entering(self, layer: int) -> Float[torch.Tensor, "token width"]:
        """Return the tokens that enter this block."""
        return self.data[self.layers.index(layer)]
