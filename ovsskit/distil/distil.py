"""One `ovsskit distil`: a recipe labels images, and a small network is taught what it found."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from ovsskit._lazy import torch
from ovsskit.datasets.truth import IGNORED
from ovsskit.distil.folder import RECIPE, TEACHER, StudentFolder
from ovsskit.distil.labelled import Labelled, split
from ovsskit.distil.scoring import judge
from ovsskit.distil.students import find_student
from ovsskit.distil.table import DistilTable
from ovsskit.distil.teacher import Teacher
from ovsskit.engine.devices import (
    choose_batch,
    choose_device,
    is_out_of_memory,
    note_slow_precision,
)
from ovsskit.engine.notices import TakesNotice, hearing
from ovsskit.errors import NoImages, OutOfMemory
from ovsskit.files.remote import image_path
from ovsskit.fit.fit import computes_in_bf16
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.run.callbacks import Callbacks
from ovsskit.run.finished import FinishedRun
from ovsskit.run.options import ImageOptions, RunOptions, choose_named
from ovsskit.run.output.training import Progress
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.run import run_job
from ovsskit.run.runner import peak_memory
from ovsskit.run.truths import Truths, find_truths

OUT = Path("ovsskit-distil")


@dataclass(frozen=True)
class DistilOptions(ImageOptions):
    """Hold what a person asked of `ovsskit distil`."""

    truth: Path | None = None
    truth_classes: Path | None = None
    ignored: tuple[int, ...] = IGNORED
    verify: bool = False


@runtime_checkable
class DistilCallbacks(TakesNotice, Protocol):
    """Receive the progress of a distillation: first that of the teacher's run."""

    @property
    def teacher(self) -> Callbacks:
        """Return what receives the teacher's run."""

    def begin(self, total: int, done: int) -> None:
        """Receive the number of steps, and how many were done before."""

    def tell(self, loss: float) -> None:
        """Receive a finished step."""

    def end(self, folder: Path, progress: Progress, done_now: int) -> None:
        """Receive the end."""


def distil(options: DistilOptions, callbacks: DistilCallbacks) -> Path:
    """Teach a student what a recipe finds in images, and return the folder that holds it.

    What was stopped goes on: the teacher with the images that are left, the student from its last
    saved state.

    Raises:
        OvsskitError: something is wrong with the recipe, classes, images, output folder, device or
            weights.
    """
    recipe = load_recipe(options.recipe, options.overrides)
    if not options.images:
        what = "Nothing says which images the student should learn from."
        raise NoImages(what, fix="Name a folder of images: --images DIR")
    vocabulary = choose_named(options.classes, options.classes_file, recipe.plan.vocabulary)
    settings = recipe.settings_of(DistilTable)
    identity = {
        "classes": vocabulary.labels,
        "recipe": recipe.title,
        "settings": settings.model_dump(exclude={"save_every"}),
    }
    recorded = {"name": recipe.title, "tables": recipe.tables}
    folder = StudentFolder(options.out or OUT / recipe.title, identity, recorded)
    try:
        folder.claim()
        labelled = folder.path / TEACHER
        run_job(_teach_by(options, labelled, settings), callbacks.teacher)
        with hearing(callbacks):
            job = _Job(options, recipe, settings, folder, FinishedRun(labelled), callbacks)
            job.run()
        return folder.path
    finally:
        folder.close()


def _teach_by(options: DistilOptions, out: Path, settings: DistilTable) -> RunOptions:
    """Return what is asked of the teacher's run."""
    return RunOptions(
        options.recipe,
        classes=options.classes,
        classes_file=options.classes_file,
        out=out,
        overrides=options.overrides,
        device=options.device,
        images=options.images,
        batch=options.batch,
        limit=options.limit,
        reading=options.reading,
        save=frozenset(["confidence"] if settings.unsure_below else []),
        verify=options.verify,
        truth=options.truth,
        truth_classes=options.truth_classes,
        ignored=options.ignored,
    )


@dataclass
class _Job:
    """Hold a distillation whose teacher has labelled all images."""

    options: DistilOptions
    recipe: Recipe
    settings: DistilTable
    folder: StudentFolder
    run_of_teacher: FinishedRun
    callbacks: DistilCallbacks

    def run(self) -> None:
        self.device = choose_device(self.options.device)
        self.batch = choose_batch(self.options.batch, self.device)
        settings = self.settings
        taught, held_out = split(
            self.run_of_teacher,
            settings.held_out,
            self.options.reading.max_pixels,
            settings.unsure_below,
        )
        truths = self._truths(held_out) if self.options.truth else None
        if self.folder.is_done_on(taught.digest, verify=self.options.verify):
            self.callbacks.end(self.folder.path, self.folder.progress, 0)
            return
        first = self._teach(taught)
        self.folder.progress.scores = judge(
            self.folder.path / RECIPE, held_out, truths, self.device, self.batch
        )
        self.folder.note()
        self.callbacks.end(self.folder.path, self.folder.progress, self.settings.updates - first)

    def _teach(self, taught: Labelled) -> int:
        """Teach the student, and return the step from which it went on."""
        from ovsskit.distil.teaching import Teaching

        settings, data = self.settings, taught.digest
        note_slow_precision(settings.precision, self.device)
        student = find_student(settings.student).at(settings.image_size)
        student = student.started_from(settings.start)
        teacher = self._teacher() if student.reads_texts or settings.labels == "each_step" else None
        if teacher is not None and student.reads_texts:
            student = student.with_texts(teacher.texts(taught[0].image))
        with torch.random.fork_rng([]):
            torch.manual_seed(settings.seed)
            network = student.build(len(self.folder.classes))
        started: list[str] = []
        if settings.start:
            started = student.backbone.read_encoder(settings.start, network)
        teaching = Teaching(
            student.backbone,
            network,
            taught,
            settings,
            torch.device(self.device),
            frozenset(started),
            computes_in_bf16(settings.precision, self.device),
            teacher if settings.labels == "each_step" else None,
        )
        first = self.folder.resume(teaching, data)
        self.folder.note()
        self.callbacks.begin(settings.updates, first)
        progress = self.folder.progress
        try:
            for number in range(first, settings.updates):
                start = time.perf_counter()
                loss = teaching.step(number)
                progress.seconds += time.perf_counter() - start
                progress.losses.append(loss)
                self.callbacks.tell(loss)
                if (number + 1) % settings.save_every == 0 and number + 1 < settings.updates:
                    self.folder.save_state(teaching, data)
        except (KeyboardInterrupt, RuntimeError, MemoryError) as error:
            if len(progress.losses) > first:
                self.folder.save_state(teaching, data)
            if not is_out_of_memory(error):
                raise
            fix = "Use fewer images at once: --set distil.batch=2."
            what = f"{settings.batch} images at once do not fit into memory."
            raise OutOfMemory(what, fix=fix) from error
        progress.peak_memory, progress.peak_device_memory = peak_memory(self.device)
        self.folder.finish(student, network.state_dict(), self.run_of_teacher.vocabulary, data)
        return first

    def _teacher(self) -> Teacher:
        plan = replace(self.recipe.plan, vocabulary=self.run_of_teacher.vocabulary)
        return Teacher(Pipeline(plan, device=self.device, batch=self.batch))

    def _truths(self, held_out: Labelled) -> Truths | None:
        images = [image_path(held_out.record(index).source) for index in range(len(held_out))]
        return find_truths(
            images,
            self.options.images,
            self.run_of_teacher.vocabulary,
            False,
            self.options.truth,
            self.options.truth_classes,
            self.options.ignored,
        )
