"""Read the words that a model is to look for in images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import GroundsWords
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import NEGATIVE, Vocabulary, WordTokens


class EncodeWords(Stage, writes="word_tokens"):
    """Encode every word alone, without a sentence around it, for `ground_words`.

    The words are the background's, each class's name and synonyms, then the negatives. With
    `neighbours`, every word is followed by a token for each of the other words that are most like
    it, so that it is told from these.
    Source: SAM 3, which was trained with bare noun phrases; ActiveSAM (arXiv 2606.16996), released
    code (2 neighbours, and 2 hypernyms of WordNet, which are left out here).

    Example:
        [[stage]]
        use = "encode_words"
        neighbours = 2
    """

    neighbours: Annotated[
        int,
        Field(ge=0, description="how many other words follow a word, at most as many as there are"),
    ] = 0

    def run_batch(self, vocabulary: Batch[Vocabulary], backbone: GroundsWords) -> Batch[WordTokens]:
        """Return the tokens, in the order of `Vocabulary.queries`, the negatives' last."""
        found = []
        for one in vocabulary:
            words = [*one.queries, *((NEGATIVE, word) for word in one.negatives)]
            neighbours = min(self.neighbours, len(words) - 1)
            found.append(backbone.encode_words(words, neighbours))
        return found
