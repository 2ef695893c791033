"""Ask the model itself which classes a picture shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ovsskit.backbones.base import MatchesText
from ovsskit.stage import Slots, Stage
from ovsskit.values import Caption, Image, Present, Vocabulary


class PresenceByMatching(Stage, writes="present"):
    """Take the classes whose own caption the model matches with the picture; always the best one.

    Needs nothing but the model, unlike PnP-OVSS, whose numbers were made with the classes that GPT-4o had named.
    """

    network = True

    prompt: Annotated[str, Field(description="words before the name of the class")] = (
        "A picture of "
    )
    at_least: Annotated[
        float, Field(ge=0, le=1, description="probability of the match that a class needs")
    ] = 0.5
    at_most: Annotated[
        int, Field(ge=1, description="greatest number of classes of a picture, best first")
    ] = 25

    def run(self, image: Image, vocabulary: Vocabulary, backbone: MatchesText) -> Present:
        """Return the labels of the classes that match, in the vocabulary's order."""
        [found] = self.run_many([{"image": image, "vocabulary": vocabulary, "backbone": backbone}])
        return found

    def run_many(self, many: Sequence[Slots]) -> list[Present]:
        """Match the captions of all classes with all pictures in one batch."""
        captions = [
            [Caption(self.prompt + name, ()) for name in slots["vocabulary"].names]
            for slots in many
        ]
        matches = many[0]["backbone"].match([slots["image"] for slots in many], captions)
        return [Present(self._choose(scores.tolist())) for scores in matches]

    def _choose(self, scores: Sequence[float]) -> tuple[int, ...]:
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
        enough = [index for index in ranked[: self.at_most] if scores[index] >= self.at_least]
        return tuple(index + 1 for index in sorted(enough or ranked[:1]))
