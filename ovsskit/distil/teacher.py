"""Ask a teacher while a student is taught, about the parts of images that the student sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsskit._lazy import Float, Int, torch
from ovsskit.errors import MissingCapability
from ovsskit.run.pipeline import Pipeline, Result


@dataclass(frozen=True)
class Answer:
    """Hold what a teacher says of parts of images; `vectors` are those of patches, if asked for."""

    labels: Int[torch.Tensor, "image h w"]
    confidence: Float[torch.Tensor, "image h w"]
    vectors: Float[torch.Tensor, "image width rows cols"] | None = None


@dataclass(frozen=True)
class Teacher:
    """Hold the pipeline of a teacher, which takes images with colours from 0 to 1."""

    pipeline: Pipeline

    def answer(self, parts: Float[torch.Tensor, "image 3 h w"], *, vectors: bool) -> Answer:
        """Return what the teacher says of parts of images.

        Raises:
            MissingCapability: vectors are asked for, and the recipe leaves none.
        """
        results = self.pipeline(list(parts.cpu()))
        found = [_left_by(one, "patch_features").data.float() for one in results if vectors]
        return Answer(
            torch.stack([one.labels for one in results]).to(parts.device),
            torch.stack([one.confidence for one in results]).to(parts.device),
            torch.stack(found).to(parts.device) if vectors else None,
        )

    def texts(self, part: Float[torch.Tensor, "3 h w"]) -> Float[torch.Tensor, "class width"]:
        """Return a vector of length 1 for every class but the background: the mean of its texts'.

        Raises:
            MissingCapability: the recipe compares nothing with texts.
        """
        texts = _left_by(self.pipeline(part), "text_features")
        labels = torch.tensor(texts.labels, device=texts.data.device)
        classes = range(1, len(self.pipeline.plan.vocabulary.labels))
        means = [texts.data[labels == label].float().mean(0) for label in classes]
        return torch.nn.functional.normalize(torch.stack(means)).cpu()


def _left_by(result: Result, slot: str) -> Any:
    """Return what a recipe left in a slot, outside of all wrappers."""
    if slot not in result.slots:
        what = f"The teacher writes no `{slot}`, which this student learns from."
        fix = (
            "Choose a student that learns from labels alone, such as segformer-b0 or deeplab-tiny, "
            "and leave distil.feature_weight at 0."
        )
        raise MissingCapability(what, fix=fix)
    return result.slots[slot]
