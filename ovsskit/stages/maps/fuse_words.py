"""Make scores of what a model finds of words."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import NEGATIVE, Confidences, Image, WordMasks


class FuseWords(Stage, writes="scores"):
    """Give every class the highest score of its words: dense masks, and single things, by presence.

    A thing's score is its own times its word's presence; things at or below `above` are left out. A
    word's map is the maximum of its dense probabilities and of its things' probabilities times
    their scores, times its presence once more; it is 0 where presence is below `present_above`.
    Then `label_map` gives a pixel to the word that is highest there. Negatives are left out.
    Source: SegEarth-OV3 and ActiveSAM, released code (both heads, 0.3, at the image's size);
    transformers' post-processing of SAM 3 has each head alone.

    Example:
        [[stage]]
        use = "fuse_words"
        above = 0.3
    """

    waits: ClassVar[str] = "for which word each of the things is one of"

    above: Annotated[
        float, Field(ge=0, le=1, description="score times presence that a thing must exceed")
    ] = 0.3
    present_above: Annotated[
        float, Field(ge=0, le=1, description="presence that a word must exceed, or be 0 everywhere")
    ] = 0.0
    heads: Annotated[Literal["both", "dense", "things"], Field(description="which masks count")] = (
        "both"
    )
    size: Annotated[
        Literal["image", "masks"],
        Field(
            description="at which size maps are fused: the image's, to which logits are resized "
            "bilinearly, or the masks' own"
        ),
    ] = "image"

    def run(self, word_masks: WordMasks, image: Image) -> Confidences:
        """Return one map for each class of which a word was looked for, in ascending order."""
        found = word_masks
        size = image.size if self.size == "image" else tuple(found.dense.shape[1:])
        labels = sorted({*found.labels} - {NEGATIVE})
        maps = dict(zip(labels, found.dense.new_zeros(len(labels), *size), strict=True))
        presence = found.presence * (found.presence > self.present_above)
        scores = found.scores * found.presence[found.words]
        strengths = scores * (scores > self.above) * presence[found.words]
        parts: list[tuple[int, Any, Any]] = []
        if self.heads != "things":
            parts += zip(range(len(found.labels)), found.dense, presence, strict=True)
        if self.heads != "dense":
            parts += zip(found.words.tolist(), found.masks, strengths, strict=True)
        for word, logits, strength in parts:
            if found.labels[word] != NEGATIVE:
                mine = maps[found.labels[word]]
                torch.maximum(mine, _resized(logits, size).sigmoid() * strength, out=mine)
        return Confidences(torch.stack([maps[label] for label in labels]), tuple(labels))


def _resized(logits: Float[torch.Tensor, "rows cols"], size: tuple[int, ...]) -> Any:
    """Return logits at another size, bilinear, edges on edges."""
    if tuple(logits.shape) == size:
        return logits
    return torch.nn.functional.interpolate(logits[None, None], size, mode="bilinear")[0, 0]
