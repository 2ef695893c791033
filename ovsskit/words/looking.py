"""Run a recipe on an image, and see which class and which word wins every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ovsskit._lazy import Int, torch
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Logits, Scores
from ovsskit.run.pipeline import Pipeline, Result

ROWS = 64
"""How many rows of the maps are looked at together, so that there is no second copy of all maps."""
NONE = -1
"""What stands for no class and no word."""


@dataclass(frozen=True)
class Seen:
    """Hold what a run found in an image, pixel by pixel, on the processor.

    `labels` counts from the vocabulary. `rivals` has the label of the highest score among the other
    classes, or -1 where no other scores anything; None without scores of several classes. `words`
    has the word (by its place in `Vocabulary.queries`) that wins the label, or -1 where the label
    follows from no word's score; None where words have no scores of their own.
    """

    labels: Int[torch.Tensor, "h w"]
    rivals: Int[torch.Tensor, "h w"] | None
    words: Int[torch.Tensor, "h w"] | None


def look(pipeline: Pipeline, image: Image) -> Seen:
    """Run a pipeline on an image, and return who wins where."""
    watch, vocabulary = _WordScores(pipeline.plan.stages), pipeline.plan.vocabulary
    [state] = pipeline.run_many([image], vocabulary, watch)
    labels = Result(image, vocabulary, state).labels.cpu()
    scores, rivals, words = state.get("scores"), None, None
    if isinstance(scores, Scores) and len(set(scores.labels)) > 1:
        first, second = (_resize(one, labels) for one in _two_best(scores))
        rivals = torch.where(first != labels, first, second)
    queries = tuple(label for label, _ in vocabulary.queries)
    if watch.scores is not None and watch.scores.labels == queries:
        best = _resize(watch.scores.data.argmax(0), labels)
        words = torch.where(torch.tensor(queries)[best] == labels, best, NONE)
    return Seen(labels, rivals, words)


class _WordScores:
    """Hold the last scores in which a class has several maps: those of its words."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.scores: Scores | None = None
        self._stages = {id(stage) for stage in stages}

    def __call__(self, stage: Stage, states: Sequence[State], seconds: float) -> None:
        """Look at what a stage wrote, unless it is inside a wrapper, where images are others."""
        if id(stage) in self._stages and stage.writes == "scores":
            scores: Scores = states[0]["scores"]
            if len(set(scores.labels)) < len(scores.labels):
                self.scores = scores


def _two_best(scores: Scores) -> Int[torch.Tensor, "2 rows cols"]:
    """Return the labels of the best and the second-best class; -1 for one that scores nothing."""
    classes = sorted(set(scores.labels))
    maps = {
        one: [row for row, label in enumerate(scores.labels) if label == one] for one in classes
    }
    parts = []
    for rows in scores.data.split(ROWS, 1):
        merged = torch.stack([rows[maps[one]].amax(0) for one in classes])
        values, places = merged.topk(2, 0)
        labels = torch.tensor(classes, device=places.device)[places]
        parts.append(labels if isinstance(scores, Logits) else labels.where(values > 0, NONE))
    return torch.cat(parts, 1)


def _resize(
    data: Int[torch.Tensor, "rows cols"], like: Int[torch.Tensor, "h w"]
) -> Int[torch.Tensor, "h w"]:
    """Return numbers at the size of others, each from the place nearest to it."""
    found = torch.nn.functional.interpolate(
        data[None, None].float(), tuple(like.shape), mode="nearest-exact"
    )
    return found[0, 0].long().cpu()
