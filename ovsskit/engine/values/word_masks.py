"""The value of what a model finds of words in an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.examples import GRID, uniform
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class WordMasks(Value):
    """Hold, for every word, whether the image shows it, where, and single things of it.

    `presence` is the probability that the image shows a word at all. `dense` are logits of where it
    is. `masks` are logits of single things, `words` says of which word each of them is one, and
    `scores` are the probabilities that they are, without presence. `labels` says which label each
    word is for. All maps cover the image edge to edge.
    """

    presence: Float[torch.Tensor, " word"]
    dense: Float[torch.Tensor, "word rows cols"]
    masks: Float[torch.Tensor, "thing rows cols"]
    scores: Float[torch.Tensor, " thing"]
    words: Int[torch.Tensor, " thing"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> WordMasks:
        """Return random maps of four words, two of them for the second class, and five things."""
        dense, masks = (
            uniform(seed + one, count, *GRID) * 8 - 4 for one, count in ((0, 4), (1, 5))
        )
        words = torch.tensor([0, 0, 1, 3, 3])
        return cls(uniform(seed + 2, 4), dense, masks, uniform(seed + 3, 5), words, (1, 2, 2, 3))

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that probabilities are such, and that every thing is one of a word."""
        super().check(value)
        assert len(value.labels) == len(value.dense), "not every word has one label"
        for name in ("presence", "scores"):
            numbers = getattr(value, name)
            assert ((numbers >= 0) & (numbers <= 1)).all(), f"{name}: not a probability"
        assert all(0 <= word < len(value.labels) for word in value.words.tolist())
