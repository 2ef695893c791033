"""The value of one vector for every region of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.examples import WIDTH, uniform
from ovsskit.engine.values.regions import Regions
from ovsskit.engine.values.spatial import Spatial


@dataclass(frozen=True, eq=False)
class RegionFeatures(Spatial):
    """Hold a vector for every region, in the space of the texts; `numbers`, ascending, say which.

    Places in no region have a vector, too: that of number 0.
    """

    data: Float[torch.Tensor, "region width"]
    numbers: Int[torch.Tensor, " region"]

    @classmethod
    def example(cls, seed: int = 0) -> RegionFeatures:
        """Return random vectors for the regions of the example image."""
        numbers = Regions.example(seed).data.unique()
        return cls(uniform(seed + 6, len(numbers), WIDTH) - 0.5, numbers)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a vector for every region, and that their numbers ascend."""
        super().check(value)
        assert len(value.data) == len(value.numbers), "not every region has one vector"
        assert bool((value.numbers.diff() > 0).all()), "the numbers do not ascend"
