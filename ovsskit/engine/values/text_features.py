"""The value of one vector for every text."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import WIDTH, uniform
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class TextFeatures(Value):
    """Hold one vector for every text; `labels` says which label each is for.

    It is 0 for the background, and `NEGATIVE` for words that only compete.
    """

    data: Float[torch.Tensor, "text width"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> TextFeatures:
        """Return random vectors of length 1, two of them for the second class."""
        vectors = torch.nn.functional.normalize(uniform(seed, 4, WIDTH) - 0.5)
        return cls(vectors, (1, 2, 2, 3))
