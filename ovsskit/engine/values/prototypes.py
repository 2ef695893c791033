"""Vectors of what classes look like."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import NAMES, WIDTH, uniform
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class Prototypes(Value):
    """Hold one vector for every class among those of patches; `labels` says which each is for."""

    data: Float[torch.Tensor, "class width"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> Prototypes:
        """Return random vectors of length 1, one for each class."""
        vectors = torch.nn.functional.normalize(uniform(seed, len(NAMES), WIDTH) - 0.5)
        return cls(vectors, tuple(range(1, len(NAMES) + 1)))
