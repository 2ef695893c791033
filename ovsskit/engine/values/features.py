"""The values of one vector for every patch: of the texts' space, of a guide, or of a block."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, LAYERS, WIDTH, uniform
from ovsskit.engine.values.spatial import Spatial, Window


@dataclass(frozen=True, eq=False)
class Features(Spatial):
    """Hold one vector for every patch of a grid."""

    data: Float[torch.Tensor, "width rows cols"]

    @classmethod
    def example(cls: type[F], seed: int = 0) -> F:
        """Return random vectors."""
        return cls(uniform(seed, WIDTH, *GRID) - 0.5)

    @property
    def grid(self) -> tuple[int, int]:
        """Return rows and columns."""
        return self.data.shape[1], self.data.shape[2]

    @property
    def vectors(self) -> Float[torch.Tensor, "patch width"]:
        """Return the vectors, row by row of the grid."""
        return self.data.flatten(1).T

    def crop(self: F, window: Window) -> F:
        """Return the patches that a window shows; those of margins are 0.

        Raises:
            BadValue: an edge of the window lies inside a patch.
        """
        return self if window.is_whole else replace(self, data=window.cut(self.data))

    def with_vectors(self: F, vectors: Float[torch.Tensor, "patch width"]) -> F:
        """Return features of the same kind and grid with other vectors."""
        return replace(self, data=on_grid(vectors, self.grid))


F = TypeVar("F", bound=Features)


def on_grid(
    vectors: Float[torch.Tensor, "patch width"], grid: tuple[int, int]
) -> Float[torch.Tensor, "width rows cols"]:
    """Return vectors, given row by row, as maps on their grid."""
    maps: torch.Tensor = vectors.T.unflatten(1, grid).contiguous()
    return maps


@dataclass(frozen=True, eq=False)
class PatchFeatures(Features):
    """Hold the vector of every patch in the space in which it is compared, such as the texts'."""


@dataclass(frozen=True, eq=False)
class GuideFeatures(Features):
    """Hold vectors that say which patches belong together; texts mean nothing to them."""


@dataclass(frozen=True, eq=False)
class Gathered(Features):
    """Hold what patches gathered in a block, before the model's final normalisation.

    The block's second half may have followed: `feed_forward`. `layer` is the block's number, from
    1. The grid is that of the attention.
    """

    layer: int

    @classmethod
    def example(cls, seed: int = 0) -> Gathered:
        """Return random vectors of the last block."""
        return cls(uniform(seed, WIDTH, *GRID) - 0.5, LAYERS)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that the block counts from 1."""
        super().check(value)
        assert value.layer >= 1, "blocks count from 1"
