"""Measure what each source of present classes is worth to the recipes that ask which are there.

In `benchmarks/`, run `python presence.py [RECIPE ...] [--scenes 24] [--first-seed N]`.
The one parameter by which a source takes more or fewer classes is chosen for the recipe on some
scenes; all are scored on as many others, which no training has seen. F1 is that of the classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.table import Table

from ovsskit.embedded import NOUNS
from ovsskit.engine.images import read_image
from ovsskit.engine.stage import Stage
from ovsskit.engine.store import Store
from ovsskit.engine.values import Present
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.run.pipeline import Pipeline, load
from ovsskit.stages.presence.presence_by_similarity import PresenceBySimilarity
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene

FIRST_SEED = 260_000_000
CLASSES = len(NOUNS)
SCALE = 20.0
"""What the tiny CLIP's cosines are multiplied by; its other recipes have the same."""

Find = Callable[[Sequence[Scene]], list[Present]]


@dataclass(frozen=True)
class Source:
    """Hold one way to say which classes are there: for each value of its parameter, how."""

    title: str
    ways: dict[str, Find]


def sources() -> list[Source]:
    """Return all sources, the truth last."""
    store = Store()
    everything = tuple(range(1, CLASSES + 1))

    def matching(least: float) -> Find:
        sets = (f"presence_by_matching.at_least={least}", "presence_by_matching.none_below=0.5")
        return _until_present(load("quickstart", *sets, device="cpu", store=store))

    def patches(fraction: float) -> Find:
        set_ = f"presence_by_patches.fraction={fraction}"
        return _until_present(load("tagclip_tiny", set_, device="cpu", store=store))

    def similarity(least: float) -> Find:
        plan = load("naclip_tiny", device="cpu", store=store).plan
        stage = PresenceBySimilarity(at_least=least, scale=SCALE)
        return _until_present(Pipeline.of([stage], plan.models, vocabulary=plan.vocabulary))

    return [
        Source("all classes", {"": lambda scenes: [Present(everything)] * len(scenes)}),
        Source("presence_by_matching", {str(one): matching(one) for one in (0.5, 0.6, 0.7, 0.8)}),
        Source(
            "presence_by_similarity",
            {str(one): similarity(one) for one in (0.1, 0.2, 0.3, 0.5, 0.7)},
        ),
        Source(
            "presence_by_patches", {str(one): patches(one) for one in (0.3, 0.5, 0.6, 0.7, 0.8)}
        ),
        Source("the truth", {"": lambda scenes: list(map(_true, scenes))}),
    ]


def _until_present(pipeline: Pipeline) -> Find:
    """Return what runs the stages of a pipeline up to the one that says what is there."""
    stages = pipeline.plan.stages
    last = next(place for place, stage in enumerate(stages) if stage.writes == "present")
    first = _with_stages(pipeline, stages[: last + 1])

    def find(scenes: Sequence[Scene]) -> list[Present]:
        images = [read_image(scene.image) for scene in scenes]
        states = first.run_many(images, pipeline.plan.vocabulary)
        return [state["present"] for state in states]

    return find


def _with_stages(pipeline: Pipeline, stages: Sequence[Stage]) -> Pipeline:
    plan = replace(pipeline.plan, stages=tuple(stages))
    return Pipeline(plan, device="cpu", store=pipeline.store)


def _true(scene: Scene) -> Present:
    numbers = torch.from_numpy(scene.things).unique().tolist()
    return Present(tuple(int(one) for one in numbers if one))


def score(pipeline: Pipeline, scenes: Sequence[Scene], present: Sequence[Present]) -> float:
    """Return a recipe's mean IoU in per cent, if these classes are taken as present."""
    told = _with_stages(pipeline, [one for one in pipeline.plan.stages if one.writes != "present"])
    states = [
        {"image": read_image(scene.image), "vocabulary": pipeline.plan.vocabulary, "present": one}
        for scene, one in zip(scenes, present, strict=True)
    ]
    total = torch.zeros(CLASSES + 1, CLASSES + 1, dtype=torch.int64)
    [found] = told.run_states([states])
    for scene, state in zip(scenes, found, strict=True):
        total += confusion(
            torch.from_numpy(scene.things).long(), state["labels"].ids.long(), CLASSES + 1
        )
    return 100 * mean_iou(total)


def f1(scenes: Sequence[Scene], present: Sequence[Present]) -> float:
    """Return the harmonic mean of precision and recall of the classes that are taken."""
    right = taken = there = 0
    for scene, one in zip(scenes, present, strict=True):
        true, found = set(_true(scene).labels), set(one.labels)
        right, taken, there = right + len(true & found), taken + len(found), there + len(true)
    return 2 * right / max(taken + there, 1)


def main() -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=["quickstart", "clip_es_tiny"])
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    scenes = evaluation_scenes(2 * asked.scenes, first_seed=asked.first_seed)
    choosing, others = scenes[: asked.scenes], scenes[asked.scenes :]
    table = Table("recipe", "source", "parameter", "F1 of the classes", "mIoU")
    known = sources()
    for name in asked.recipes:
        pipeline = load(name, device="cpu", store=Store())
        for source in known:
            found = {way: find(choosing) for way, find in source.ways.items()}
            best = max(found, key=lambda way: score(pipeline, choosing, found[way]))
            present = source.ways[best](others)
            cells = f"{f1(others, present):.2f}", f"{score(pipeline, others, present):.1f}"
            table.add_row(name, source.title, best, *cells)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
