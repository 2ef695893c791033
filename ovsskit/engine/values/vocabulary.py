"""The value of the words to look for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ovsskit.engine.examples import NAMES
from ovsskit.engine.values.value import Value

NEGATIVE = -1
"""The label of words that compete with the classes and are never an answer."""


@dataclass(frozen=True, eq=False)
class Vocabulary(Value):
    """Hold the names to look for, and of every label its number in the mask and its colour.

    `synonyms` are other words for each class, if there are any; `background_words` stand for what
    is none of them. `negatives` are words that compete with the classes and are never an answer.
    `dataset` names the data set whose classes these are, in its order, if they are one's; it does
    not distinguish values.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    colours: tuple[tuple[int, int, int], ...]
    background: str = "background"
    synonyms: tuple[tuple[str, ...], ...] = ()
    background_words: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    dataset: str = field(default="", compare=False)

    @classmethod
    def example(cls, seed: int = 0) -> Vocabulary:
        """Return three names, the same for every seed."""
        colours = ((0, 0, 0), (244, 62, 37), (37, 72, 244), (133, 244, 37))
        return cls(NAMES, (0, 1, 2, 3), colours)

    @property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """Return all words of each class, its name first."""
        others = self.synonyms or ((),) * len(self.names)
        return tuple((name, *more) for name, more in zip(self.names, others, strict=True))

    @property
    def queries(self) -> tuple[tuple[int, str], ...]:
        """Return label and text of all words: the background's, then every class's."""
        return tuple(
            (label, word)
            for label, mine in enumerate((self.background_words, *self.words))
            for word in mine
        )

    @property
    def joined(self) -> tuple[str, ...]:
        """Return all words of each class in one text, with commas between them."""
        return tuple(map(", ".join, self.words))

    def pick(self, labels: Sequence[int]) -> Vocabulary:
        """Return a vocabulary of these classes alone, in this order; their ids stay."""
        rows = [label - 1 for label in labels]
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            ids=(self.ids[0], *(self.ids[label] for label in labels)),
            colours=(self.colours[0], *(self.colours[label] for label in labels)),
            synonyms=tuple(self.synonyms[row] for row in rows) if self.synonyms else (),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the name of every label: the background, then the classes."""
        return (self.background, *self.names)

    def name_of(self, label: int) -> str:
        """Return the name of a label; that of all negatives is "negative"."""
        return "negative" if label == NEGATIVE else self.labels[label]
