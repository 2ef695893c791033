"""One `ovsskit eval`: find all that is wrong before weights are read, then run, count, sum up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ovsskit.datasets.coarse import coarsen
from ovsskit.datasets.dataset import Dataset
from ovsskit.datasets.facts import facts_of
from ovsskit.datasets.matching import Matching, match_classes
from ovsskit.datasets.protocol import Counting, Protocol, find_protocol
from ovsskit.engine.devices import choose_batch, choose_device
from ovsskit.engine.images import allow_pixels
from ovsskit.engine.notices import Notices, Silent, hearing
from ovsskit.engine.objections import check_inputs
from ovsskit.errors import BadFile, BadValue, Place, first_of
from ovsskit.eval.callbacks import EvalCallbacks
from ovsskit.eval.counter import Counter
from ovsskit.eval.folder import EvalFolder
from ovsskit.eval.options import OUT, EvalOptions, choose_dataset, choose_words
from ovsskit.eval.page import write_page
from ovsskit.eval.pictures import Pictures
from ovsskit.eval.predictions import PipelinePredictions, Predictions, Spot
from ovsskit.eval.record import describe_dataset, describe_result
from ovsskit.eval.saved import SavedPredictions
from ovsskit.eval.settings import describe_models, describe_settings
from ovsskit.eval.totals import Totals
from ovsskit.files.decoding import adopt_warnings
from ovsskit.files.digests import digest_texts
from ovsskit.files.names import safe_name
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.run.options import check_files, check_outcome
from ovsskit.run.output.record import Costs
from ovsskit.run.output.recorded import versions
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.runner import peak_memory

SAVE_EVERY = 20.0
"""Seconds after which the record is brought up to date."""

log = logging.getLogger(__name__)


def evaluate(options: EvalOptions, callbacks: EvalCallbacks) -> dict[str, Any]:
    """Measure a recipe, or the masks of a finished run, on images with true masks.

    The record is returned, and stands in the output folder as `eval.json`.

    Raises:
        OvsskitError: something is wrong with the recipe, data set, classes, output folder, device
            or weights.
    """
    adopt_warnings()
    with hearing(callbacks) as notices:
        job = _prepare(options, callbacks, notices)
        try:
            return job.run()
        finally:
            job.folder.close()


def check(options: EvalOptions) -> None:
    """Find what stands against an evaluation, and fetch the weights that it needs; nothing runs.

    Raises:
        OvsskitError: as `evaluate` does before the first image.
    """
    adopt_warnings()
    with hearing(Silent()) as notices:
        _prepare(options, Silent(), notices).folder.close()


def _prepare(options: EvalOptions, callbacks: EvalCallbacks, notices: Notices) -> _Job:
    protocol = find_protocol(options.protocol)
    allow_pixels(options.reading.max_pixels)
    if options.masks is not None:
        if options.recipe:
            what = "Both a recipe and the masks of a finished run are named."
            raise BadValue(what, fix="Give one of them.", where=Place("--masks"))
        saved = SavedPredictions(options.masks, options.reading.max_pixels)
        dataset = choose_dataset(options.truth, options.images or saved.images)
        return _job(options, callbacks, notices, dataset, saved, protocol)
    if not options.recipe:
        fix = "Name one, or the folder of a finished run: --masks DIR"
        raise BadValue("Nothing says which recipe to measure.", fix=fix, where=Place("RECIPE"))
    recipe = load_recipe(options.recipe, options.overrides)
    check_outcome(recipe)
    check_files(recipe.plan.stages)
    dataset = choose_dataset(options.truth, options.images)
    vocabulary, own = choose_words(options, recipe, dataset)
    plan = replace(recipe.plan, vocabulary=vocabulary)
    device = choose_device(options.device)
    batch = choose_batch(options.batch, device)
    for model in plan.used.values():
        model.check_vocabulary(vocabulary)
    check_inputs(plan.stages, vocabulary, [])
    pipeline = Pipeline(plan, device=device, batch=batch)
    predictions = PipelinePredictions(
        pipeline,
        recipe.title,
        options.reading,
        facts_of(own) if own else None,
        _describe(recipe, pipeline, options),
    )
    return _job(options, callbacks, notices, dataset, predictions, protocol)


def _describe(
    recipe: Recipe, pipeline: Pipeline, options: EvalOptions
) -> Callable[[], dict[str, Any]]:
    """Return what tells how a recipe is run, when it is asked for: weights are there then."""
    name, file, tables = recipe.title, str(recipe.path), recipe.tables
    return lambda: {
        "recipe": {"name": name, "file": file, "digest": digest_texts([repr(tables)])}
        | {"tables": tables},
        "overrides": list(options.overrides),
        "settings": describe_settings(pipeline.plan),
        "models": describe_models(pipeline.plan.used),
        "device": pipeline.device,
        "batch": pipeline.batch,
        "versions": versions(),
    }


def _job(
    options: EvalOptions,
    callbacks: EvalCallbacks,
    notices: Notices,
    dataset: Dataset,
    predictions: Predictions,
    protocol: Protocol,
) -> _Job:
    if options.truth.coarse:  # only now: the classes to look for are the fine ones
        dataset = coarsen(dataset, options.truth.coarse)
    counting = Counting(protocol, dataset.facts)
    matching = match_classes(predictions.vocabulary, dataset.facts, predictions.own)
    _say(matching, dataset)
    described = describe_dataset(dataset)
    identity = {
        "predictions": predictions.identity(),
        "dataset": described,
        "protocol": counting.protocol.model_dump(),
        "numbers": {str(key): value for key, value in matching.numbers.items()},
    }
    path = options.out or OUT / safe_name(f"{predictions.title}-{dataset.facts.name}")
    folder = EvalFolder(path, identity, options.shard)
    totals = Totals(counting)
    return _Job(options, callbacks, notices, dataset, matching, predictions, folder, totals)


def _say(matching: Matching, dataset: Dataset) -> None:
    title = dataset.facts.title
    if matching.others:
        text = "%d of the classes looked for are not in %s: %s"
        log.info(text, len(matching.others), title, first_of(list(matching.others), most=5))
    if matching.missed:
        text = "%d classes of %s are not looked for, and their pixels count as missed: %s"
        log.warning(text, len(matching.missed), title, first_of(list(matching.missed), most=5))


@dataclass
class _Job:
    """Hold an evaluation that nothing known stands against."""

    options: EvalOptions
    callbacks: EvalCallbacks
    notices: Notices
    dataset: Dataset
    matching: Matching
    predictions: Predictions
    folder: EvalFolder
    totals: Totals
    costs: Costs = field(default_factory=Costs)

    def run(self) -> dict[str, Any]:
        done = self.folder.start()
        counter = Counter(
            self.dataset,
            self.matching,
            self.folder,
            self.totals,
            Pictures(self.folder, self.dataset.facts),
            self.options.save_masks,
            self.callbacks.tell,
        )
        counter.recall()
        items = self.dataset.items[: self.options.limit]
        spots = [Spot(*one) for one in enumerate(items) if self.predictions.has(one[1])]
        self._see_some(len(spots), len(items))
        shard = self.options.shard
        todo = [one for one in spots if one.number not in done and shard.has(one.item.name)]
        self.callbacks.begin(len(todo))
        try:
            if todo:
                self._work(todo, counter)
        finally:
            counter.close()
            with self.folder.alone():
                if not (shard.is_whole and counter.in_order):
                    self.totals = counter.recount()
                record = self._save()
                write_page(self.folder, record, self.totals, counter.drawn())
        self.callbacks.end(self.folder.path, record)
        return record

    def _see_some(self, known: int, count: int) -> None:
        if not known:
            what = "The run has none of the images that have true masks."
            there = f"Such images: {first_of([one.where for one in self.dataset.items], most=3)}"
            raise BadFile(what, there=there, where=Place("--masks"))
        if known < count:
            text = "%d of the %d images with true masks are not in the run, and count nowhere"
            log.warning(text, count - known, count)

    def _work(self, todo: Sequence[Spot], counter: Counter) -> None:
        with self.callbacks.phase("reading the models"):
            self.predictions.prepare(self.costs)
        start = saved = time.perf_counter()
        try:
            for prediction in self.predictions.run(todo, counter.leave_out):
                counter.count(prediction)
                if time.perf_counter() - saved > SAVE_EVERY and self.options.shard.is_whole:
                    counter.settle()
                    self._save()
                    saved = time.perf_counter()
            counter.settle()
        finally:
            self.costs.seconds += time.perf_counter() - start
            memory = peak_memory(self.predictions.device)
            self.costs.peak_memory, self.costs.peak_device_memory = memory

    def _save(self) -> dict[str, Any]:
        """Write the record of what is counted so far, and return it."""
        result = describe_result(self.totals, self.matching)
        record = {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "name": self.predictions.title,
            **self.predictions.describe(),
            "dataset": self.folder.identity["dataset"],
            **result,
            "notices": self.notices.seen,
        }
        return self.folder.save(self.costs, record)
