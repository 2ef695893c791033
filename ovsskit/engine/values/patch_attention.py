"""The value of the weights with which patches take in each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, LAYERS, PATCH_TOKENS, uniform
from ovsskit.engine.sending import pick
from ovsskit.engine.values.spatial import Spatial


@dataclass(frozen=True, eq=False)
class PatchAttention(Spatial):
    """Hold with what weight patches take in each other in blocks, in the mean over their heads.

    `layers` are the blocks' numbers, from 1, of an encoder with `block_count` blocks. Rows do not
    sum to 1: what patches take in of the class token is left out.
    """

    data: Float[torch.Tensor, "layer patch patch"]
    layers: tuple[int, ...]
    grid: tuple[int, int]
    block_count: int

    @classmethod
    def example(cls, seed: int = 0) -> PatchAttention:
        """Return random weights of all layers."""
        data = (uniform(seed, LAYERS, PATCH_TOKENS, PATCH_TOKENS) * 4).softmax(-1)
        return cls(data[:, 1:, 1:], tuple(range(1, LAYERS + 1)), GRID, LAYERS)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a matrix for every layer, of weights for every patch of the grid."""
        super().check(value)
        patches = value.grid[0] * value.grid[1]
        assert value.data.shape == (len(value.layers), patches, patches)
        assert (value.data >= 0).all(), "a weight is negative"

    def of(self, layers: tuple[int, ...]) -> Float[torch.Tensor, "layer patch patch"]:
        """Return what these blocks hold."""
        return pick(self.data, [self.layers.index(layer) for layer in layers])

    def on_grid(self, maps: Float[torch.Tensor, "map h w"]) -> Float[torch.Tensor, "map rows cols"]:
        """Return maps on the grid of the patches, resized bilinearly if they lie on another."""
        if tuple(maps.shape[1:]) == self.grid:
            return maps
        resized: torch.Tensor = torch.nn.functional.interpolate(
            maps[None], self.grid, mode="bilinear"
        )[0]
        return resized
