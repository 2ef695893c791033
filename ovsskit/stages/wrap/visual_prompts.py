"""Mark in the image where a class was found, and ask again whether it is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import numpy, torch
from ovsskit.engine.stage import PerClass, Wrapper, Wraps
from ovsskit.engine.values import Image, Present, Saliency, Vocabulary
from ovsskit.ops.marks import Mark, draw_marks

TOGETHER = 32
"""How many marked images are asked for at once, so that memory does not grow with the classes."""

Marks = tuple[Mark, ...]


class VisualPrompts(Wrapper, writes="present"):
    """Mark each present class in an image of its own, and keep those that are taken in theirs.

    The inner chain sees each of these images, and a class is kept if it is taken as present in its
    own. If none is, the one that scores best in its own image is kept. The mask of a class is where
    its map, enlarged to the image, is above `at`; a map that is so nowhere, or sums to no more than
    1, leaves the image as it is. Outside the mask the image is blurred (`blur`), then without
    colour (`grey`), then black; red lines around it are an `ellipse`, a `rectangle`, or the
    `contour`. In which order marks are named makes no difference. In `marks_of`, what says the same
    as `marks` counts as left out.
    Source: Sun et al. 2024, CLIP as RNN (CaR), released code; the red ellipse: Shtedritski et al.
    2023.

    Example:
        [[stage]]
        use = "visual_prompts"
        marks = ["blur", "grey"]
          [[stage.inner]]
          use = "presence_by_sentences"
          if_none = "none"
    """

    waits: ClassVar[str] = "marks are drawn on the processor"
    neutral: ClassVar[dict[str, Any]] = {"marks": ()}

    marks: Annotated[
        Marks, Field(description="how to point at a class; with none, the image is seen once")
    ] = ("ellipse", "blur")
    marks_of: Annotated[
        dict[str, Marks],
        PerClass("marks"),
        Field(description="marks of a class's own, by the class's name"),
    ] = {}
    at: Annotated[
        float, Field(ge=0, le=1, description="a class is marked where its map is above this")
    ] = 0.4

    def run(
        self, image: Image, scores: Saliency, present: Present, vocabulary: Vocabulary
    ) -> Wraps[Present]:
        """Return the classes that are kept, with the score of each in its own image."""
        if not (self.marks or self.marks_of) or not present.labels:
            [out] = yield [{}]
            alone: Present = out["present"]
            return alone
        taken, own = set(), [0.0] * len(vocabulary.names)
        for marks, labels in self._groups(present, vocabulary):
            outs = yield [{"image": one} for one in self._marked(image, scores, marks, labels)]
            for label, out in zip(labels, outs, strict=True):
                seen: Present = out["present"]
                own[label - 1] = seen.scores[label - 1] if seen.scores else label in seen.labels
                taken |= {label}.intersection(seen.labels)
        taken = taken or {max(present.labels, key=lambda label: own[label - 1])}
        kept = tuple(label for label in present.labels if label in taken)
        return Present(kept, tuple(own))

    def _groups(
        self, present: Present, vocabulary: Vocabulary
    ) -> Iterator[tuple[Marks, Sequence[int]]]:
        """Yield labels whose images are marked alike, not too many at once."""
        alike: dict[Marks, list[int]] = {}
        for label in present.labels:
            marks = self.marks_of.get(vocabulary.names[label - 1], self.marks)
            alike.setdefault(marks, []).append(label)
        for marks, labels in alike.items():
            for first in range(0, len(labels), TOGETHER):
                yield marks, labels[first : first + TOGETHER]

    def _marked(
        self, image: Image, scores: Saliency, marks: Marks, labels: Sequence[int]
    ) -> list[Image]:
        """Return the image marked for each label; as it is where there is nothing to mark."""
        masks = {}
        for label in labels:
            one = scores.data[scores.labels.index(label)][None, None].float()
            enlarged = torch.nn.functional.interpolate(one, image.size, mode="bilinear")[0, 0]
            mask = enlarged > self.at
            if enlarged.sum() > 1 and mask.any():
                masks[label] = mask.cpu().numpy()
        if not masks:
            return [image] * len(labels)
        drawn = draw_marks(image.pixels.cpu().numpy(), numpy.stack([*masks.values()]), marks)
        marked = {
            label: replace(image, data=torch.from_numpy(one).to(image.data).permute(2, 0, 1) / 255)
            for label, one in zip(masks, drawn, strict=True)
        }
        return [marked.get(label, image) for label in labels]
