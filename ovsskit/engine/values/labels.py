"""The value of the class of every pixel."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit._lazy import Int, torch
from ovsskit.engine.values.scores import Saliency
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class Labels(Value):
    """Hold the id (`Vocabulary.ids`) of the class of every pixel."""

    ids: Int[torch.Tensor, "h w"]

    @classmethod
    def example(cls, seed: int = 0) -> Labels:
        """Return the class of the highest example score of every pixel."""
        return cls(Saliency.example(seed).data.argmax(0) + 1)
