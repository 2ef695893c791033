"""Ask the model itself which classes an image shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit.engine.model import MatchesText
from ovsskit.engine.stage import Batch, PerClass, Stage
from ovsskit.engine.values import Caption, Image, Present, Vocabulary


class PresenceByMatching(Stage, writes="present"):
    """Take the classes whose own caption the model matches with the image.

    The best one is always taken, unless told otherwise. Needs nothing but the model, unlike
    PnP-OVSS, whose numbers were made with the classes that GPT-4o had named.

    Example:
        [[stage]]
        use = "presence_by_matching"
        at_least = 0.6
        at_most = 5
    """

    waits: ClassVar[str] = "which classes are present is a list of names"

    prompt: Annotated[str, Field(description="words before the name of the class")] = (
        "A picture of "
    )
    at_least: Annotated[
        float, Field(ge=0, le=1, description="probability of the match that a class needs")
    ] = 0.5
    at_least_class: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1)]],
        PerClass("at_least"),
        Field(description="the same for single classes, by name"),
    ] = {}
    none_below: Annotated[
        float,
        Field(ge=0, le=1, description="an image whose best class is below this shows no class"),
    ] = 0.0
    at_most: Annotated[
        int, Field(ge=1, description="greatest number of classes of an image, best first")
    ] = 25

    def run_batch(
        self, image: Batch[Image], vocabulary: Batch[Vocabulary], backbone: MatchesText
    ) -> Batch[Present]:
        """Return the labels of the classes that match, in the vocabulary's order."""
        captions = [[Caption(self.prompt + name, ()) for name in one.names] for one in vocabulary]
        matches = backbone.match(image, captions)
        return [
            self._choose(scores.tolist(), one.names)
            for scores, one in zip(matches, vocabulary, strict=True)
        ]

    def _choose(self, scores: Sequence[float], names: Sequence[str]) -> Present:
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
        least = [self.at_least_class.get(name, self.at_least) for name in names]
        enough = [index for index in ranked[: self.at_most] if scores[index] >= least[index]]
        best, rounded = ranked[0], tuple(round(score, 4) for score in scores)
        match = f"the best match is `{names[best]}` with {scores[best]:.2f}"
        if scores[best] < self.none_below:
            return Present((), rounded, f"none of the classes is seen: {match}")
        note = "" if enough else f"no class is seen clearly: {match}, which is taken"
        return Present(tuple(index + 1 for index in sorted(enough or [best])), rounded, note)
