"""The value of words as a model reads them that looks for words in images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.examples import WIDTH, uniform
from ovsskit.engine.sending import pick
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class WordTokens(Value):
    """Hold the tokens of every word; `labels` says which label each word is for.

    It is 0 for the background, and `NEGATIVE` for words that only compete. `mask` is true where a
    word has a token; what else stands there is padding.
    """

    data: Float[torch.Tensor, "word token width"]
    mask: Bool[torch.Tensor, "word token"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> WordTokens:
        """Return random tokens of four words, two of them for the second class."""
        mask = torch.arange(5) < torch.tensor([3, 4, 3, 5])[:, None]
        return cls(uniform(seed, 4, 5, WIDTH) - 0.5, mask, (1, 2, 2, 3))

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a label for every word, and that every word has a token."""
        super().check(value)
        assert len(value.labels) == len(value.data), "not every word has one label"
        assert value.mask.any(1).all(), "a word has no token"

    def pick(self, rows: Sequence[int]) -> WordTokens:
        """Return some of the words, in this order."""
        labels = tuple(self.labels[row] for row in rows)
        return WordTokens(pick(self.data, rows), pick(self.mask, rows), labels)
