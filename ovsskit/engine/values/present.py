"""The value of the classes that an image shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from ovsskit.engine.examples import NAMES
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class Present(Value):
    """Hold the labels (1 and up) of the classes that an image shows, in caption order.

    `scores` are the probabilities from which they were chosen, if there are any, of all classes in
    their order; `note` is what a person should know of the choice. Neither distinguishes values.
    """

    labels: tuple[int, ...]
    scores: tuple[float, ...] = field(default=(), compare=False)
    note: str = field(default="", compare=False)

    @classmethod
    def example(cls, seed: int = 0) -> Present:
        """Return all classes of the example vocabulary."""
        return cls(tuple(range(1, len(NAMES) + 1)))
