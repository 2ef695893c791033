"""Ask a model, by several sentences with each name, which classes an image shows."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesImageAndText
from ovsskit.engine.sending import pick, send_places
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Present, Vocabulary
from ovsskit.texts.templates import NAME, Templates, sentences


class PresenceBySentences(Stage, writes="present"):
    """Take the classes that an image fits by many sentences, each of which has its say.

    For each sentence, the similarities of the image to the classes become probabilities by a
    softmax. They are added up over the sentences, and a softmax of the sums gives the scores. So
    with n classes no score is above e^s / (e^s + n - 1) for s sentences. If classes are said to be
    present already, only these compete, and the others have a score of 0.
    Source: Sun et al. 2024, CLIP as RNN (CaR), released code, for which images are marked first
    (`visual_prompts`).

    Example:
        [[stage]]
        use = "presence_by_sentences"
        above = 0.3
    """

    waits: ClassVar[str] = "which classes are present is a list of names"

    templates: Annotated[
        Templates, Field(description="sentences to put the names into; {} stands for the name")
    ] = "car_15"
    words: Annotated[
        Literal["first", "joined"],
        Field(description="the name of a class, or all its words in one text, with commas"),
    ] = "first"
    scale: Annotated[
        float, Field(gt=0, description="what similarities are multiplied by before the softmax")
    ] = 100.0
    merge: Annotated[
        Literal["softmax_of_sum", "mean"],
        Field(description="how sentences become one: a softmax of their sum, as released, or mean"),
    ] = "softmax_of_sum"
    above: Annotated[float, Field(ge=0, le=1, description="score that a class must exceed")] = 0.6
    if_none: Annotated[
        Literal["best", "none"],
        Field(description="what is taken where no class exceeds it: the best one, or none"),
    ] = "best"

    def run_batch(
        self,
        image: Batch[Image],
        vocabulary: Batch[Vocabulary],
        backbone: EncodesImageAndText,
        present: Batch[Present | None],
    ) -> Batch[Present]:
        """Return the labels of the classes that are taken, in the order of those that compete."""
        features = torch.nn.functional.normalize(backbone.encode_image(image), dim=-1)
        texts: dict[tuple[str, ...], Float[torch.Tensor, "sentence class width"]] = {}
        found = []
        for feature, words, known in zip(features, vocabulary, present, strict=True):
            names = words.names if self.words == "first" else words.joined
            if names not in texts:
                texts[names] = self._encode(names, backbone)
            labels = range(1, len(names) + 1) if known is None else known.labels
            rows = [label - 1 for label in labels]
            score = merge_sentences(self.scale * pick(texts[names], rows, 1) @ feature, self.merge)
            places = send_places(rows, score.device)
            scores = score.new_zeros(len(names)).index_copy(0, places, score)
            found.append(self.choose(rows, scores))
        return found

    def _encode(
        self, names: tuple[str, ...], backbone: EncodesImageAndText
    ) -> Float[torch.Tensor, "sentence class width"]:
        """Return the vectors of all sentences with all names, of length 1."""
        templates = sentences(self.templates)
        vectors = backbone.encode_text([one.replace(NAME, n) for one in templates for n in names])
        apart = vectors.float().unflatten(0, (len(templates), len(names)))
        return torch.nn.functional.normalize(apart, dim=-1)

    def choose(self, rows: list[int], scores: Float[torch.Tensor, " class"]) -> Present:
        """Return the classes of these rows that score enough."""
        values = tuple(scores.tolist())
        taken = [row for row in rows if values[row] > self.above]
        if not taken and rows and self.if_none == "best":
            taken = [max(rows, key=values.__getitem__)]
        return Present(tuple(row + 1 for row in taken), values)


def merge_sentences(
    logits: Float[torch.Tensor, "sentence class"], merge: Literal["softmax_of_sum", "mean"]
) -> Float[torch.Tensor, " class"]:
    """Return the scores of classes, of which every sentence has a probability."""
    probability = logits.softmax(1)
    scores: Float[torch.Tensor, " class"] = (
        probability.mean(0) if merge == "mean" else probability.sum(0).softmax(0)
    )
    return scores
