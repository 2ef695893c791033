"""Judge recipes on the images of a study: what several candidates share is read and computed once.

Decoded images, models and everything that a network wrote are kept between candidates. So a
candidate that differs only behind the network runs none.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from ovsskit._lazy import torch
from ovsskit.engine.driver import State
from ovsskit.engine.images import allow_pixels, read_image
from ovsskit.engine.memo import Memo, remembering
from ovsskit.engine.model import Backbone
from ovsskit.engine.plan import Plan
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Labels
from ovsskit.errors import NothingFound
from ovsskit.run.pipeline import Pipeline
from ovsskit.study.search.cost_meter import CostMeter, Costs
from ovsskit.study.search.given import GivenSlots
from ovsskit.study.search.late import late_stages, most_of
from ovsskit.study.search.reports import Report
from ovsskit.study.search.samplers import rungs
from ovsskit.study.search.trial_result import TrialResult
from ovsskit.study.spec.objectives import Objective, mean_of
from ovsskit.study.spec.plan import StudyPlan
from ovsskit.study.spec.truth import miou_of

IMAGES_BYTES = 1 << 30
"""How many bytes of decoded images are kept."""

MEMO_BYTES = 1 << 30
"""How many bytes are kept of lattices of dense CRFs, and of what they refined."""


class Evaluator:
    """Judge candidates of one study in one process, on one device."""

    def __init__(self, plan: StudyPlan, device: str, batch: int, store: Store) -> None:
        self.plan, self.device, self.batch, self.store = plan, device, batch, store
        self._images: dict[Path, Image] = {}
        self._images_bytes = 0
        self._models: dict[str, Backbone] = {}
        self._costs = Costs()
        self._memo = Memo(MEMO_BYTES)
        self._given = GivenSlots(plan, store, self._ready)
        allow_pixels(plan.reading.max_pixels)

    def pipeline(
        self, values: Mapping[str, Any], goals: Sequence[Objective] | None = None
    ) -> Pipeline:
        """Return the recipe with these values, ready to run; candidates share their models.

        Raises:
            Problems: the values do not fit together.
        """
        plan = self.plan.search.candidate(values, goals).plan
        return self._ready(replace(plan, vocabulary=self.plan.vocabulary))

    def _ready(self, plan: Plan) -> Pipeline:
        """Return a plan ready to run, its models shared with all others and read where used."""
        models = {name: self._shared(model) for name, model in plan.models.items()}
        plan = replace(plan, models=models)
        for model in plan.used.values():
            model.prepare()  # read once, and only if a stage asks it
        return Pipeline(plan, device=self.device, batch=self.batch, store=self.store)

    def see_reference(self) -> None:
        """Check that the reference, if there is one, finds something in the images.

        Raises:
            BadStudy: it does not.
        """
        if self.plan.search.reference is not None:
            self._given.see_reference(self._image(index) for index in range(len(self.plan.images)))

    def judge(
        self, values: Mapping[str, Any], order: Sequence[int], report: Report | None = None
    ) -> TrialResult:
        """Run the recipe with these values on the images in this order, and judge what comes out.

        Raises:
            NothingFound: no image gives an objective anything to judge.
            OvsskitError: the candidate cannot be run, or an image cannot be read.
        """
        goals = self.plan.search.objectives
        before = self._count(goals)
        gathered, meter, whole = self._run(values, goals, order, report)
        totals = [math.nan] * len(goals)  # of a candidate that was left before the first reward
        if gathered[0] or whole:
            totals = [
                self._total(one, found, meter) for one, found in zip(goals, gathered, strict=True)
            ]
        return TrialResult(
            totals,
            {index: _of_image(gathered[0], index) for index in gathered[0]},
            meter.seconds / max(1, meter.images),
            meter.megabytes,
            whole=whole,
            **{key: count - before[key] for key, count in self._count(goals).items()},
        )

    def values_of(
        self, values: Mapping[str, Any], goal: Objective, order: Sequence[int]
    ) -> dict[int, float]:
        """Return what single images give for a goal; not a number where that is nothing.

        Raises:
            OvsskitError: the candidate cannot be run, or an image cannot be read.
        """
        [found], _, _ = self._run(values, [goal], order)
        return {index: _of_image(found, index) for index in found}

    def _run(
        self,
        values: Mapping[str, Any],
        goals: Sequence[Objective],
        order: Sequence[int],
        report: Report | None = None,
    ) -> tuple[list[dict[int, Any]], CostMeter, bool]:
        """Return what each goal got of each image, the costs, and whether all images were run."""
        pipeline = self.pipeline(values, goals)
        late = {} if report is None else late_stages(pipeline.plan, goals)
        pipeline, judging = self._divided(pipeline, late)
        judges = addresses_of(goals)
        last = next(
            stage.address for stage in reversed(pipeline.plan.stages) if stage.address not in judges
        )
        meter = CostMeter(self._costs, self.store, self._memo, judges, last, self.device)
        gathered: list[dict[int, Any]] = [{} for _ in goals]
        whole = True
        groups = list(self._groups(order, report))
        images = ([self._image(index) for index in group] for group in groups)
        filled = (self._given.fill(some, pipeline.plan) for some in images)
        with remembering(self._memo):
            for group, states in zip(
                groups, pipeline.run_states(filled, meter, timed=True), strict=True
            ):
                meter.images += len(group)
                if judging is not None and report is not None:
                    if report.is_hopeless(most_of(goals[0], meter.rewards, late, group)):
                        whole = False
                        break
                    [states] = judging.run_states([states], meter, timed=True)
                self._gather(goals, group, states, meter, gathered)
                if report is not None and any(
                    report(one, _of_image(gathered[0], one)) for one in group
                ):
                    whole = False
                    break
        self.batch = pipeline.batch
        return gathered, meter, whole

    def _divided(
        self, pipeline: Pipeline, late: Collection[str]
    ) -> tuple[Pipeline, Pipeline | None]:
        """Return a recipe without the stages that can wait, and these, if there are any."""
        if not late:
            return pipeline, None
        stages = pipeline.plan.stages
        first, last = (
            tuple(one for one in stages if (one.address in late) == waits)
            for waits in (False, True)
        )
        options: dict[str, Any] = {"device": self.device, "batch": self.batch, "store": self.store}
        return (
            Pipeline(replace(pipeline.plan, stages=first), **options),
            Pipeline(replace(pipeline.plan, stages=last), **options),
        )

    def _count(self, goals: Sequence[Objective]) -> dict[str, int]:
        """Return the calls of networks made and saved so far, the recipe's and the judges'."""
        judges = addresses_of(goals)
        found = dict.fromkeys(("calls", "saved", "judge_calls", "judge_saved"), 0)
        for address, count in self.store.counts.items():
            who = "judge_" if address in judges else ""
            found[f"{who}calls"] += count.calls
            found[f"{who}saved"] += count.hits
        return found

    def segment(
        self, values: Mapping[str, Any], indices: Sequence[int]
    ) -> Iterator[tuple[Image, State]]:
        """Yield images of the study, and what the recipe with these values finds in them."""
        pipeline = self.pipeline(values)
        for index in indices:
            image = self._image(index)
            with remembering(self._memo):
                [[state]] = pipeline.run_states([self._given.fill([image], pipeline.plan)])
            yield image, state

    def _shared(self, model: Backbone) -> Backbone:
        key = f"{type(model).__qualname__} {model.model_dump_json()}"
        if key not in self._models:
            self._models[key] = model.to(self.device)
        return self._models[key]

    def _image(self, index: int) -> Image:
        path = self.plan.images[index]
        if path in self._images:
            return self._images[path]
        image = read_image(path, self.plan.reading).to(self.device)
        if self._images_bytes + image.data.nbytes <= IMAGES_BYTES:
            self._images[path] = image
            self._images_bytes += image.data.nbytes
        return image

    def _groups(self, order: Sequence[int], report: Report | None) -> Iterator[Sequence[int]]:
        """Yield images to run together: a batch at most, and none beyond one that halving ends at.

        So a judge that waits hears of all images up to there at once, as far as a batch holds them.
        """
        halves = report is not None and self.plan.search.settings.pruner == "halving"
        ends = [0, *(rungs(len(order)) if halves else ()), len(order)]
        for first, end in pairwise(ends):
            for start in range(first, end, self.batch):
                yield order[start : min(start + self.batch, end)]

    def _gather(
        self,
        goals: Sequence[Objective],
        group: Sequence[int],
        states: Sequence[State],
        meter: CostMeter,
        gathered: list[dict[int, Any]],
    ) -> None:
        """Take from the slots what each goal needs of each image."""
        for one, found in zip(goals, gathered, strict=True):
            for position, (index, state) in enumerate(zip(group, states, strict=True)):
                found[index] = self._found(one, index, state, meter.rewards, position)
        meter.next_group()

    def _found(
        self,
        one: Objective,
        index: int,
        state: State,
        rewards: dict[str, list[float]],
        position: int,
    ) -> Any:
        if one.stages:
            return one.reward({name: rewards[name][position] for name in one.addresses})
        if one.is_cost:
            return math.nan
        assert self.plan.truth is not None
        labels: Labels = state["labels"]
        return self.plan.truth.confusion(self.plan.images[index], labels.ids)

    def _total(self, one: Objective, found: dict[int, Any], meter: CostMeter) -> float:
        if one.metric == "seconds":
            return meter.seconds / max(1, meter.images)
        if one.metric == "megabytes":
            return meter.megabytes or math.nan
        listed = list(found.values())
        total = mean_of(listed) if one.stages else miou_of(listed)
        if math.isnan(total):
            what = (
                f"No image gives `{one.name}` anything to judge: no class is found in any of them."
            )
            fix = "Look for classes that the images show, or relax the choice of present classes."
            raise NothingFound(what, fix=fix, where=one.place)
        return total


def addresses_of(goals: Sequence[Objective]) -> set[str]:
    """Return the addresses of all stages that judge."""
    return {address for one in goals for address in one.addresses}


def _of_image(found: Mapping[int, Any], index: int) -> float:
    """Return what an image gave for a goal."""
    value = found[index]
    return miou_of([value]) if isinstance(value, torch.Tensor) else float(value)
