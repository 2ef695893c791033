"""What a study makes better: a reward, which a stage writes, or a metric.

    [objective]
    use = "clip_reward"        # a stage that writes `reward`, with its parameters

    [[objective]]              # or several, and then a Pareto front
    metric = "miou"
    masks  = "masks/"          # <image>.png with the numbers of classes; sample scenes need none

Metrics are `miou` (from 0 to 1), `seconds` (an image's) and `megabytes` (the peak of the stages);
the last two shall become small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ovsskit._lazy import Int, numpy, torch
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import (
    BadStudy,
    BadValue,
    Place,
    UnknownKey,
    UnknownStage,
    did_you_mean,
    first_of,
    report,
)
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.recipe.registry import find_stage, stage_names
from ovsskit.recipe.toml_lines import Table
from ovsskit.study.spec.tables import beside
from ovsskit.study.spec.true_masks import IGNORED, check_masks, find_masks, read_mask

Direction = Literal["maximize", "minimize"]
METRICS: dict[str, Direction] = {"miou": "maximize", "seconds": "minimize", "megabytes": "minimize"}


@dataclass(frozen=True)
class Objective:
    """Hold an objective: name, direction, and the stage's table, or the metric and its masks."""

    name: str
    direction: Direction
    place: Place
    stage: Table | None = None
    masks: Path | None = None
    metric: str = ""

    @property
    def sign(self) -> int:
        """Return 1 where more is better, else -1."""
        return sign_of(self.direction)


def sign_of(direction: Direction) -> int:
    """Return 1 where more is better, else -1."""
    return 1 if direction == "maximize" else -1


def read_objectives(table: Table) -> tuple[Objective, ...]:
    """Return the objectives of a merged study table; what is wrong is reported."""
    entries: Any = table.get("objective")
    listed: list[Any] = entries if isinstance(entries, list) else [entries]
    if not entries or not all(isinstance(entry, Table) for entry in listed):
        there = f"Rewards: {first_of(rewards(), 'ovsskit stages')}. Metrics: {', '.join(METRICS)}."
        fix = 'Add [objective] with use = "..." or metric = "...", or give --objective.'
        what, where = "Nothing says what to make better.", table.place_of("objective")
        report(BadStudy(what, there=there, fix=fix, where=where))
        return ()
    found = [one for entry in listed for one in _objective(entry)]
    names = [one.name for one in found]
    twice = [one for one in found if names.count(one.name) > 1]
    if twice:
        fix = "Give one of them a name."
        what = f"Two objectives are called `{twice[0].name}`."
        report(BadStudy(what, fix=fix, where=twice[-1].place))
    return tuple(found)


def objective_of(word: str) -> Table:
    """Return the table of an objective given as an option: a metric, or a stage."""
    place = Place("--objective")
    return Table({"metric" if word in METRICS else "use": word}, place, {})


def rewards() -> list[str]:
    """List the stages that write `reward`."""
    return [name for name in stage_names() if getattr(find_stage(name), "writes", "") == "reward"]


def _objective(entry: Table) -> list[Objective]:
    use, metric, direction = entry.get("use"), entry.get("metric"), entry.get("direction")
    name, where = entry.get("name") or use or metric, entry.place
    if (use is None) == (metric is None):
        fix = "Give `use`, a stage that writes `reward`, or `metric`."
        report(BadStudy("An objective is a stage or a metric.", fix=fix, where=where))
        return []
    if direction not in (None, "maximize", "minimize"):
        what = f'direction is {direction!r}; it must be: "maximize" or "minimize".'
        report(BadValue(what, where=entry.place_of("direction")))
        return []
    if metric is not None:
        return _metric(entry, metric, str(name), direction)
    known = rewards()
    if use not in known:
        stages = first_of(known, "ovsskit stages")
        there = f"Stages that write `reward`: {stages}. Metrics: {', '.join(METRICS)}."
        fix = did_you_mean(str(use), known)
        what = f"No stage `{use}` writes `reward`."
        report(UnknownStage(what, there=there, fix=fix, where=entry.place_of("use")))
        return []
    kept = {key: value for key, value in entry.items() if key != "direction"}
    stage = Table({**kept, "name": name}, where, entry.places)
    return [Objective(str(name), direction or "maximize", where, stage=stage)]


def _metric(entry: Table, metric: Any, name: str, direction: Any) -> list[Objective]:
    if metric not in METRICS:
        there, fix = f"There are: {', '.join(METRICS)}", did_you_mean(str(metric), list(METRICS))
        what, where = f"There is no metric `{metric}`.", entry.place_of("metric")
        report(BadValue(what, there=there, fix=fix, where=where))
        return []
    known = ["metric", "direction", "name", *(["masks"] if metric == "miou" else [])]
    for key in entry:
        if key not in known:
            what, there = f"The metric `{metric}` has no key `{key}`.", ", ".join(known)
            report(UnknownKey(what, there=f"There are: {there}", where=entry.place_of(key)))
    masks = beside(entry, "masks") / str(entry["masks"]) if "masks" in entry else None
    if masks is not None and not masks.is_dir():
        what = f"There is no folder of masks `{masks}`."
        fix = "Name a folder with <image>.png."
        report(BadValue(what, fix=fix, where=entry.place_of("masks")))
    return [Objective(name, direction or METRICS[metric], entry.place, masks=masks, metric=metric)]


@dataclass(frozen=True)
class Truth:
    """Know the true masks of images; `ignored` is the number that counts nowhere."""

    masks: Mapping[Path, Path]
    table: Mapping[int, int] | None
    count: int
    ignored: int = IGNORED

    def confusion(
        self, image: Path, found: Int[torch.Tensor, "h w"]
    ) -> Int[torch.Tensor, "classes classes"]:
        """Count the pixels of an image by true and found class."""
        true = torch.from_numpy(read_mask(self.masks[image]).astype(numpy.int64))
        if self.table is not None:
            true = torch.tensor(
                [self.table.get(number, 0) for number in range(int(true.max()) + 1)]
            )[true]
        if found.shape != true.shape:
            found = torch.nn.functional.interpolate(found[None, None].float(), true.shape)[
                0, 0
            ].long()
        return confusion(torch.where(true == self.ignored, -1, true), found.cpu(), self.count)


def read_truth(
    objective: Objective, images: Sequence[Path], samples: bool, vocabulary: Vocabulary
) -> Truth:
    """Return the true masks of images: of a folder, or those of the sample scenes.

    Raises:
        BadStudy: the images are not sample scenes and no masks are named, or the classes are none
            of the scenes'.
        BadFile: an image has no mask, or its mask cannot be that of this image and these classes.
    """
    count = max(vocabulary.ids) + 1
    if objective.masks is not None:
        masks = find_masks(objective.masks, images, objective.place)
        check_masks(masks, vocabulary)
        return Truth(masks, None, count, -1 if IGNORED in vocabulary.ids else IGNORED)
    from ovsskit.embedded import NOUNS, sample_scenes

    scenes = {scene.image: scene.mask for scene in sample_scenes()}
    if not samples and not set(images) <= set(scenes):
        fix = 'Add masks = "folder" to the objective, or take a reward, which needs none.'
        raise BadStudy("The metric `miou` needs true masks.", fix=fix, where=objective.place)
    if not set(vocabulary.names) <= set(NOUNS):
        raise BadStudy(
            "The masks of the sample scenes do not know all of these classes.",
            where=objective.place,
        )
    number_of = dict(zip(vocabulary.names, vocabulary.ids[1:], strict=True))
    return Truth(
        scenes, {index: number_of.get(noun, 0) for index, noun in enumerate(NOUNS, 1)}, count
    )


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of what images gave without those that gave nothing (nan); nan of none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def miou_of(matrices: Sequence[Int[torch.Tensor, "classes classes"]]) -> float:
    """Return the mean IoU, from 0 to 1, over the pixels of several images."""
    return mean_iou(torch.stack(list(matrices)).sum(0))
