"""Read the words that a model is to look for in images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import GroundsWords
from ovsskit.engine.stage import Batch, PathOfRecipe, Stage
from ovsskit.engine.values import NEGATIVE, Vocabulary, WordTokens
from ovsskit.texts.hypernyms import hypernyms_of_words


class EncodeWords(Stage, writes="word_tokens"):
    """Encode every word alone, without a sentence around it, for `ground_words`.

    The words are the background's, each class's name and synonyms, then the negatives. With
    `neighbours`, every word is followed by a token for each of the other words that are most like
    it, so that it is told from these. With `hypernyms`, a word is followed by a token for each of
    those that the file has for it; a word that is not in the file has none.
    Source: SAM 3, which was trained with bare noun phrases; ActiveSAM (arXiv 2606.16996), released
    code (2 neighbours, and at most 2 hypernyms of WordNet).

    Example:
        [[stage]]
        use = "encode_words"
        neighbours = 2
    """

    neighbours: Annotated[
        int,
        Field(ge=0, description="how many other words follow a word, at most as many as there are"),
    ] = 0
    hypernyms: Annotated[
        PathOfRecipe,
        Field(
            description='a TOML file with what words are a kind of: `sofa = ["seat", "furniture"]`'
        ),
    ] = ""

    def run_batch(self, vocabulary: Batch[Vocabulary], backbone: GroundsWords) -> Batch[WordTokens]:
        """Return the tokens, in the order of `Vocabulary.queries`, the negatives' last.

        Raises:
            BadFile, BrokenToml: the file of hypernyms is invalid, or knows none of the words.
        """
        found = []
        for one in vocabulary:
            words = [*one.queries, *((NEGATIVE, word) for word in one.negatives)]
            neighbours = min(self.neighbours, len(words) - 1)
            found.append(backbone.encode_words(words, neighbours, self._kinds(words)))
        return found

    def _kinds(self, words: Sequence[tuple[int, str]]) -> Sequence[Sequence[str]]:
        """Return the hypernyms of every word, or nothing where there is no file."""
        if not self.hypernyms:
            return ()
        return hypernyms_of_words(Path(self.hypernyms), [word for _, word in words])
