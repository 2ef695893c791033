"""Compare words by the vectors that a recipe's text model gives them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesText
from ovsskit.engine.values import Vocabulary
from ovsskit.stages.text.encode_text import EncodeText

NEAR = 0.7
"""The centred cosine from which on two words are near-duplicates. Ours; see docs/words.md."""
FEWEST = 8
"""With fewer words than this their mean says nothing, and they are not compared."""


@dataclass(frozen=True)
class Pair:
    """Hold two words of different classes, and how alike they are to the model.

    `cosine` is that of `TextSpace`; `rank` the share of all pairs of words that are less alike,
    from 0 to 1.
    """

    first: str
    second: str
    cosine: float
    rank: float

    @property
    def is_near(self) -> bool:
        """Say whether the words are near-duplicates."""
        return self.cosine >= NEAR


@dataclass(frozen=True)
class TextSpace:
    """Hold how alike words are: cosines after the mean of all words is taken off.

    Raw cosines of such a model are all high, since its texts share most of what they are, which the
    mean holds. `labels` says which class each word is of; 0 are words of the background and
    distractors, a sample of what else there is.
    """

    words: tuple[str, ...]
    labels: tuple[int, ...]
    cosines: Float[torch.Tensor, "word word"]

    @classmethod
    def of(cls, vocabulary: Vocabulary, stage: EncodeText, model: EncodesText) -> TextSpace | None:
        """Encode all words of a vocabulary with a recipe's sentences; None if they are too few."""
        queries = vocabulary.queries
        if len(queries) < FEWEST:
            return None
        plain = stage.model_copy(update={"words": "all", "word_of": {}})
        [features] = plain.run_batch([vocabulary], model)
        unit = torch.nn.functional.normalize(features.data.float(), dim=1)
        centred = torch.nn.functional.normalize(unit - unit.mean(0), dim=1)
        words, labels = tuple(word for _, word in queries), tuple(label for label, _ in queries)
        return cls(words, labels, (centred @ centred.T).cpu())

    def pairs(self, among: Collection[str]) -> list[Pair]:
        """Return for any two classes their most similar words among some, the nearest first."""
        mine = [place for place, label in enumerate(self.labels) if label]
        mine = [place for place in mine if self.words[place] in among]
        best: dict[tuple[int, int], Pair] = {}
        for one, two in combinations(mine, 2):
            classes = (self.labels[one], self.labels[two])
            pair = self._pair(one, two)
            if classes[0] != classes[1] and (
                classes not in best or pair.cosine > best[classes].cosine
            ):
                best[classes] = pair
        return sorted(best.values(), key=lambda pair: -pair.cosine)

    def near(self, word: str, label: int = 0) -> str:
        """Return the nearest near-duplicate of a word among those of classes, or an empty text.

        Words of its own class, if it has a label, do not count.
        """
        place = self.words.index(word)
        others = [one for one, of in enumerate(self.labels) if of and of != label]
        pairs = [pair for one in others if (pair := self._pair(place, one)).is_near]
        return max(pairs, key=lambda pair: pair.cosine).second if pairs else ""

    def _pair(self, one: int, two: int) -> Pair:
        cosine = float(self.cosines[one, two])
        size = len(self._sorted)
        rank = float(torch.searchsorted(self._sorted, cosine)) / size
        return Pair(self.words[one], self.words[two], cosine, rank)

    @cached_property
    def _sorted(self) -> Float[torch.Tensor, " pair"]:
        """Return the cosines of all pairs of words, in ascending order."""
        size = len(self.words)
        return self.cosines[*torch.triu_indices(size, size, 1)].sort()[0]
