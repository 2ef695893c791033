"""The value of how good a result seems."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Float, torch
from ovsskit.engine.values.scores import Saliency
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class Reward(Value):
    """Hold how good a result seems without true masks; more is better, NaN is nothing to judge."""

    data: Float[torch.Tensor, ""]

    @classmethod
    def example(cls, seed: int = 0) -> Reward:
        """Return the mean of the example scores."""
        return cls(Saliency.example(seed).data.mean())
