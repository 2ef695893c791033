"""Ask a model that looks for words which classes a small copy of the image shows."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import GroundsWords
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Present, WordTokens


class PresenceByGrounding(Stage, writes="present"):
    """Take the classes with the words that a small copy of the image most surely shows.

    Of many words a share is kept, those whose probability of presence is highest; a class is
    present if one of its words is kept. So `ground_words` looks for few words at full size, and no
    mask is made for the others. Where there are no more than `at_most` words, all classes are
    taken, and nothing is looked at.
    Source: ActiveSAM (arXiv 2606.16996), released code (672 pixels, a fifth of the words, 40 of
    them at most). It also leaves out the background's words, and single synonyms of a class that is
    kept.

    Example:
        [[stage]]
        use = "presence_by_grounding"
        share = 0.2
    """

    waits: ClassVar[str] = "which classes are present is a list of names"

    side: Annotated[
        int,
        Field(
            ge=0,
            description="of the square that the image is stretched to, in pixels, a multiple of "
            "the model's patch; 0: the model's own",
        ),
    ] = 672
    share: Annotated[float, Field(gt=0, le=1, description="of the words that are kept, about")] = (
        0.2
    )
    at_most: Annotated[int, Field(ge=1, description="how many words are kept, best first")] = 40

    def run_batch(
        self, image: Batch[Image], word_tokens: Batch[WordTokens], backbone: GroundsWords
    ) -> Batch[Present]:
        """Return the labels of the classes that are kept, in ascending order."""
        many = [row for row, words in enumerate(word_tokens) if len(words.labels) > self.at_most]
        images, words = [image[row] for row in many], [word_tokens[row] for row in many]
        found = backbone.find_presence(images, words, self.side) if many else []
        looked = dict(zip(many, found, strict=True))
        return [
            self.choose(looked[row], one.labels) if row in looked else Present(_classes(one.labels))
            for row, one in enumerate(word_tokens)
        ]

    def choose(self, presence: Float[torch.Tensor, " word"], labels: tuple[int, ...]) -> Present:
        """Return the classes that are kept, given the presence of all words."""
        least = presence.quantile(1 - self.share)
        values = presence.tolist()
        sure = [row for row, enough in enumerate((presence >= least).tolist()) if enough]
        best = sorted(sure, key=values.__getitem__, reverse=True)[: self.at_most]
        scores = dict.fromkeys(_classes(labels), 0.0)
        for label, value in zip(labels, values, strict=True):
            if label in scores:
                scores[label] = max(scores[label], round(value, 4))
        return Present(_classes([labels[row] for row in best]), tuple(scores.values()))


def _classes(labels: tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """Return which classes there are among labels."""
    return tuple(sorted({label for label in labels if label > 0}))
