"""The value of one vector for every patch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, WIDTH, uniform
from ovsskit.engine.values.spatial import Spatial, Window


@dataclass(frozen=True, eq=False)
class PatchFeatures(Spatial):
    """Hold one vector for every patch."""

    data: Float[torch.Tensor, "width rows cols"]

    @classmethod
    def example(cls, seed: int = 0) -> PatchFeatures:
        """Return random vectors."""
        return cls(uniform(seed, WIDTH, *GRID) - 0.5)

    def crop(self, window: Window) -> PatchFeatures:
        """Return the patches that a window shows; those of margins are 0.

        Raises:
            BadValue: an edge of the window lies inside a patch.
        """
        return self if window.is_whole else replace(self, data=window.cut(self.data))
