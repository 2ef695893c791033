"""The value of how surely places belong to a thing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import SIZE, uniform
from ovsskit.engine.values.spatial import Spatial, Window


@dataclass(frozen=True, eq=False)
class ForegroundMap(Spatial):
    """Hold how surely every place belongs to a thing, whichever it is: from 0 to 1."""

    data: Float[torch.Tensor, "h w"]

    @classmethod
    def example(cls, seed: int = 0) -> ForegroundMap:
        """Return a random map of half the image's size."""
        return cls(uniform(seed, *(side // 2 for side in SIZE)))

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that the map stays between 0 and 1."""
        super().check(value)
        low, high = value.data.aminmax()
        assert low >= 0, "it falls below 0"
        assert high <= 1, "it exceeds 1"

    def crop(self, window: Window) -> ForegroundMap:
        """Return the part that a window shows; margins are 0.

        Raises:
            BadValue: an edge of the window lies inside one of the map's places.
        """
        return self if window.is_whole else replace(self, data=window.cut(self.data))
