"""The groups into which an image encoder puts patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, WIDTH, uniform
from ovsskit.engine.values.value import Value

COUNT = 3


@dataclass(frozen=True, eq=False)
class Groups(Value):
    """Hold to which group every patch belongs, and a vector among the texts for each group.

    `assignment` sums to 1 over the groups. `image` is the vector of the whole image. `scale` is
    what cosines of vectors and texts are multiplied by, as trained.
    """

    assignment: Float[torch.Tensor, "group rows cols"]
    features: Float[torch.Tensor, "group width"]
    image: Float[torch.Tensor, " width"]
    scale: float

    @classmethod
    def example(cls, seed: int = 0) -> Groups:
        """Return three random groups."""
        assignment = (uniform(seed, COUNT, *GRID) * 8).softmax(0)
        features = uniform(seed + 1, COUNT, WIDTH) - 0.5
        return cls(assignment, features, features.mean(0), 20.0)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a vector for each group, and that every patch is shared out."""
        super().check(value)
        assert len(value.features) == len(value.assignment), "not every group has one vector"
        total = value.assignment.sum(0)
        torch.testing.assert_close(total, torch.ones_like(total), atol=1e-4, rtol=0)
