"""Ask a model with a common space of images and texts which classes an image shows."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesImageAndText
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Present, Vocabulary


class PresenceBySimilarity(Stage, writes="present"):
    """Take the classes whose words are nearest to the image, as CLIP classifies.

    The similarities of the classes become probabilities by a softmax; a class is taken if its own
    is not far below the best. The best one is always taken, unless told otherwise.
    Source: Radford et al. 2021 (the softmax, and its scale).

    Example:
        [[stage]]
        use = "presence_by_similarity"
        at_least = 0.2
        at_most = 5
    """

    waits: ClassVar[str] = "which classes are present is a list of names"

    prompt: Annotated[str, Field(description="words before the name of the class")] = (
        "A picture of "
    )
    scale: Annotated[
        float, Field(gt=0, description="what similarities are multiplied by before the softmax")
    ] = 100.0
    at_least: Annotated[
        float,
        Field(
            ge=0, le=1, description="probability that a class needs, as a share of the best one's"
        ),
    ] = 0.1
    none_below: Annotated[
        float,
        Field(
            ge=-1,
            le=1,
            description="an image whose best class has a cosine below this shows no class",
        ),
    ] = -1.0
    at_most: Annotated[
        int, Field(ge=1, description="greatest number of classes of an image, best first")
    ] = 25

    def run_batch(
        self, image: Batch[Image], vocabulary: Batch[Vocabulary], backbone: EncodesImageAndText
    ) -> Batch[Present]:
        """Return the labels of the classes that are near, in the vocabulary's order."""
        found = []
        features = torch.nn.functional.normalize(backbone.encode_image(image), dim=-1)
        for feature, one in zip(features, vocabulary, strict=True):
            texts = backbone.encode_text([self.prompt + name for name in one.names])
            found.append(self.choose(torch.nn.functional.normalize(texts, dim=-1) @ feature))
        return found

    def choose(self, similarity: Float[torch.Tensor, " class"]) -> Present:
        """Return the classes that are near, given the cosines of their words with the image."""
        probability = (self.scale * similarity.float()).softmax(0)
        near = probability >= self.at_least * probability.amax()
        values, cosines, is_near = torch.stack([probability, similarity.float(), near]).tolist()
        best = sorted(range(len(values)), key=values.__getitem__, reverse=True)[: self.at_most]
        rounded = tuple(round(value, 4) for value in values)
        nearest = cosines[best[0]]
        if nearest < self.none_below:
            note = f"none of the classes is near: the best cosine is {nearest:.2f}"
            return Present((), rounded, note)
        enough = [index for index in best if index == best[0] or is_near[index]]
        return Present(tuple(index + 1 for index in sorted(enough)), rounded)
