"""The value of one vector for every patch."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, WIDTH, uniform
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class PatchFeatures(Value):
    """Hold one vector for every patch."""

    data: Float[torch.Tensor, "width rows cols"]

    @classmethod
    def example(cls, seed: int = 0) -> PatchFeatures:
        """Return random vectors."""
        return cls(uniform(seed, WIDTH, *GRID) - 0.5)
