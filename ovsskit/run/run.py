"""One `ovsskit run`: find all that is wrong before weights are read, then run, then sum up."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from ovsskit.engine.devices import choose_batch, choose_device
from ovsskit.engine.identity import identify, identify_rendering
from ovsskit.engine.images import allow_pixels
from ovsskit.engine.notices import Notices, hearing
from ovsskit.engine.objections import check_inputs
from ovsskit.files.decoding import adopt_warnings
from ovsskit.files.videos import need_av
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.registry import PLUGIN_FILES
from ovsskit.run.callbacks import Callbacks, Summary
from ovsskit.run.options import (
    RAY,
    Chosen,
    RunOptions,
    check_files,
    check_outcome,
    choose_classes,
    choose_explained,
    choose_images,
    see_engine,
)
from ovsskit.run.output.folder import OutputFolder, Todo
from ovsskit.run.output.gallery import CLASSES, GALLERY, write_classes, write_gallery
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.output.records import Records
from ovsskit.run.output.remote import open_output
from ovsskit.run.output.video import write_videos
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.rasters.checking import choose_rasters
from ovsskit.run.rasters.grid import USUAL
from ovsskit.run.rasters.raster_runner import RasterRunner
from ovsskit.run.ray_engine import RayEngine
from ovsskit.run.replica import Work
from ovsskit.run.replicas import Replicas
from ovsskit.run.runner import Pace, Runner
from ovsskit.run.samples import sample_score
from ovsskit.run.truths import Truths, find_truths

OUT = Path("ovsskit-out")


def run_job(options: RunOptions, callbacks: Callbacks) -> int:
    """Do what a person asked, telling callbacks how it goes; return 1 if images failed, else 0.

    Raises:
        OvsskitError: something is wrong with the recipe, classes, images, output folder, device or
            weights.
    """
    adopt_warnings()
    with hearing(callbacks) as notices:
        job = _prepare(options, callbacks, notices)
        try:
            return job.run()
        finally:
            job.folder.close()


def _prepare(options: RunOptions, callbacks: Callbacks, notices: Notices) -> _Job:
    recipe = load_recipe(options.recipe, options.overrides)
    check_outcome(recipe, options.save)
    check_files(recipe.plan.stages)
    chosen = choose_images(options, recipe)
    images, samples = chosen.images, chosen.samples
    rasters = choose_rasters(
        images,
        options.reading,
        scores="scores" in options.save,
        truth=options.truth is not None,
    )
    plan = replace(recipe.plan, vocabulary=choose_classes(options, recipe, samples))
    if options.frame_rate is not None:
        need_av()
    explained = choose_explained(images, options.explain)
    allow_pixels(options.reading.max_pixels)
    see_engine(options.engine, options.devices)
    devices = [choose_device(one) for one in options.devices or (options.device,)]
    device = devices[0]
    batch = choose_batch(options.batch, device)
    for model in plan.models.values():
        model.check_vocabulary(plan.vocabulary)
    check_inputs(plan.stages, plan.vocabulary, images)
    truths = find_truths(
        images,
        options.images,
        plan.vocabulary,
        samples,
        options.truth,
        options.truth_classes,
        options.ignored,
    )
    identity = identify(plan) | identify_rendering(options.reading.rendering)
    identity |= {} if options.windows == USUAL else {"windows": asdict(options.windows)}
    folder = open_output(options.out or OUT / recipe.title, identity, options.shard)
    wanted = options.save if truths is None else options.save | {"truth"}
    todo = folder.add(
        images, wanted, explained, verify=options.verify, roots=chosen.roots, rasters=rasters
    )
    whole, in_windows = todo.split({str(path.absolute()) for path in rasters})
    if not options.explain:
        folder.explain_first(whole)
    pipeline = Pipeline(plan, device=device, batch=batch, compile=options.compile)
    return _Job(
        replace(options, devices=tuple(devices)),
        callbacks,
        notices,
        recipe,
        pipeline,
        folder,
        chosen,
        truths,
        whole,
        in_windows,
    )


@dataclass
class _Job:
    """Hold a run that nothing known stands against; `rasters` are the images to do in windows."""

    options: RunOptions
    callbacks: Callbacks
    notices: Notices
    recipe: Recipe
    pipeline: Pipeline
    folder: OutputFolder
    chosen: Chosen
    truths: Truths | None
    whole: Todo
    rasters: Todo
    costs: Costs = field(default_factory=Costs)
    score: float | None = None

    @property
    def todo(self) -> int:
        """Return how many images are to do."""
        return len(self.whole) + len(self.rasters)

    @cached_property
    def weights(self) -> dict[str, Any]:
        """Return where each model's weights come from, and the digests of their files."""
        return {name: model.describe_files() for name, model in self.recipe.plan.models.items()}

    def run(self) -> int:
        self.callbacks.begin(self.todo)
        if self.todo:
            self._work()
        elif self.folder.stale or self.options.frame_rate or not self.options.shard.is_whole:
            self._publish(last=True)
        else:
            self._measure()
        records = self.folder.records
        gallery = self.folder.where / GALLERY
        costs = self.folder.costs.plus(self.costs)
        self.callbacks.end(
            Summary(
                self.folder.where,
                gallery,
                records,
                self.todo,
                costs,
                self.score,
                self.chosen.left_out,
            )
        )
        return int(any(self.options.shard.has(one.name) for one in records.each("failed")))

    def _work(self) -> None:
        try:
            if len(self.options.devices) > 1 or self.options.engine == RAY:
                self._work_elsewhere()
            else:
                self._work_here()
            self.folder.see_done(chain(self.whole.names, self.rasters.names))
        finally:
            self._publish(last=True)

    def _work_elsewhere(self) -> None:
        self._publish()
        start = time.perf_counter()
        options = replace(self.options, images=(), explain=())
        work = Work(
            options,
            self.pipeline.plan.vocabulary,
            self.folder.where.absolute(),
            self.pipeline.batch,
            self.truths,
            tuple(PLUGIN_FILES),
        )
        look = Pace(self._publish).look
        try:
            if self.options.engine == RAY:
                RayEngine(work, self._finish, look).run(self.whole, self.rasters)
            else:
                passed, costs = self.callbacks.tell_window, self.costs
                replicas = Replicas(work, self.options.devices, self._finish, passed, look, costs)
                replicas.run(self.whole, self.rasters)
        finally:
            self.costs.seconds += time.perf_counter() - start

    def _finish(self, record: ImageRecord) -> None:
        self.folder.finish(record)
        self.callbacks.tell(record)

    def _work_here(self) -> None:
        for name, model in self.pipeline.models.items():
            start = time.perf_counter()
            with self.callbacks.phase(f"reading {name}"):
                model.prepare()
            seconds = time.perf_counter() - start
            self.costs.add(f"reading {name}", seconds)
            self.costs.seconds += seconds
        self._publish()
        runner = Runner(
            self.pipeline,
            self.folder,
            self.pipeline.plan.vocabulary,
            self.options.reading,
            self.options.profile,
            self.callbacks.tell,
            self._publish,
            self.costs,
            self.truths,
        )
        rasters = RasterRunner(
            self.pipeline,
            self.folder,
            self.pipeline.plan.vocabulary,
            self.options.windows,
            self.options.profile,
            self.callbacks.tell,
            self.callbacks.tell_window,
            self.costs,
            self.options.reading.rendering,
        )
        runner.run(self.whole)
        rasters.run(self.rasters)

    def _publish(self, *, last: bool = False) -> None:
        """Bring `run.json`, the classes and the gallery up to date; at last also the videos.

        A shard does so at its end only.
        """
        due = last or self.options.shard.is_whole
        while due:
            with self.folder.alone():
                self._bring_up_to_date(last=last)
            due = self.folder.is_outdated

    def _bring_up_to_date(self, *, last: bool) -> None:
        self._measure()
        self._note_facts()
        if not self.folder.is_claimed:
            self.folder.save(self.costs)
        records = self.folder.records
        pages = {CLASSES: write_classes(self.folder, self.pipeline.plan.vocabulary)}
        pages |= write_gallery(
            self.folder,
            self.recipe.title,
            self._gallery_facts(records),
            records,
            self.pipeline.plan.vocabulary,
            self.folder.facts["notices"],
        )
        if last:
            words = self.pipeline.plan.vocabulary
            pages |= write_videos(
                self.folder, records.values(), words, self.options.reading, self.options.frame_rate
            )
        self.folder.save(self.costs, pages)  # last: it is this that ends the journal

    def _measure(self) -> None:
        """Compare masks of the sample scenes with the true ones."""
        if self.chosen.samples:
            done = self.folder.records.each("done")
            names = [one.name for one in done if self.folder.has(one)]
            masks = [self.folder.where / "masks" / f"{name}.png" for name in names]
            self.score = sample_score(masks, self.pipeline.plan.vocabulary)

    def _note_facts(self) -> None:
        known = self.folder.facts.get("notices", [])
        self.folder.facts |= {
            "recipe": {
                "name": self.recipe.title,
                "file": str(self.recipe.path),
                "tables": self.recipe.tables,
            },
            "overrides": list(self.options.overrides),
            "models": self.weights,
            "device": ", ".join(self.options.devices),
            "batch": self.pipeline.batch,
            "compiled": self.options.compile,
            "reading": asdict(self.options.reading.rendering),
            "windows": asdict(self.options.windows),
            "notices": [*known, *(text for text in self.notices.seen if text not in known)],
            "sample_miou": self.score,
        }

    def _gallery_facts(self, records: Records) -> list[str]:
        seconds = self.folder.costs.plus(self.costs).seconds
        facts = [self.recipe.header.about] if self.recipe.header.about else []
        facts += [
            f"{records.counts()['done']} of {len(records)} images",
            f"{len(self.pipeline.plan.vocabulary.names)} classes",
        ]
        facts += [f"{seconds:.1f} s on {', '.join(self.options.devices)}"]
        empty = records.count_empty()
        facts += [f"{empty} without any class"] if empty else []
        return (
            facts
            if self.score is None
            else [*facts, f"mIoU {100 * self.score:.1f} against the true masks"]
        )
