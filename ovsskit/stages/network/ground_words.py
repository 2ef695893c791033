"""Look for words in an image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import GroundsWords
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import NEGATIVE, Image, Present, WordMasks, WordTokens


class GroundWords(Stage, writes="word_masks"):
    """Ask a model whether the image shows each word, where, and where single things of it are.

    The image is encoded once, and several words are looked for at a time. Where a stage before has
    said which classes are present, the words of the others are not looked for; those of the
    background, and negatives, always are. `fuse_words` makes scores of what is found.
    Source: Carion et al. 2025, SAM 3.

    Example:
        [[stage]]
        use = "ground_words"
    """

    least: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="things are kept whose score times presence is more than this: no later "
            "stage can ask for less",
        ),
    ] = 0.1

    def run_batch(
        self,
        image: Batch[Image],
        word_tokens: Batch[WordTokens],
        backbone: GroundsWords,
        present: Batch[Present | None],
    ) -> Batch[WordMasks]:
        """Return what is found of every word."""
        pairs = zip(word_tokens, present, strict=True)
        asked = [words if there is None else _of(words, there) for words, there in pairs]
        return backbone.ground_words(image, asked, self.least)


def _of(words: WordTokens, present: Present) -> WordTokens:
    """Return the words of classes that are present, of the background, and negatives."""
    wanted = {0, NEGATIVE, *present.labels}
    return words.pick([row for row, label in enumerate(words.labels) if label in wanted])
