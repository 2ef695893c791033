"""One replica of a run: a process of its own with the models on a device, for a share of images.

It segments images as the run itself would, and writes their files into the output folder; whoever
holds the folder gives it images, and notes in the records what became of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ovsskit._lazy import torch
from ovsskit.engine.images import allow_pixels
from ovsskit.engine.values import Vocabulary
from ovsskit.files.decoding import adopt_warnings
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.registry import load_plugin
from ovsskit.run.options import RunOptions
from ovsskit.run.output.folder import HeldFolder
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.rasters.raster_runner import RasterRunner
from ovsskit.run.runner import Runner
from ovsskit.run.truths import Truths

Finish = Callable[[ImageRecord], None]
Passed = Callable[[ImageRecord, int, int], None]


def untold(record: ImageRecord, done: int, total: int) -> None:
    """Say nothing of the windows of a raster."""


@dataclass(frozen=True)
class Work:
    """Say how images of a run are segmented, in a form that goes to other processes."""

    options: RunOptions
    vocabulary: Vocabulary
    folder: Path
    batch: int
    truths: Truths | None = None
    plugins: tuple[Path, ...] = ()
    home: Path = field(default_factory=Path.cwd)

    def on(self, device: str) -> Work:
        """Return the same work on a device."""
        return replace(self, options=replace(self.options, device=device))


class Replica:
    """Hold the models of a run on a device."""

    def __init__(self, work: Work, finish: Finish, passed: Passed = untold) -> None:
        """Load the recipe and read the models; `finish` is told of each image that is done.

        Raises:
            OvsskitError: something is wrong with the recipe, device or weights.
        """
        os.chdir(work.home)  # relative paths of a recipe start there
        adopt_warnings()
        for path in work.plugins:
            load_plugin(path)
        options, self.costs = work.options, Costs()
        allow_pixels(options.reading.max_pixels)
        plan = replace(load_recipe(options.recipe, options.overrides).plan)
        plan = replace(plan, vocabulary=work.vocabulary)
        pipeline = Pipeline(plan, device=options.device, batch=work.batch)
        for model in pipeline.models.values():
            model.prepare()
        folder = HeldFolder(work.folder, finish, options.shard)
        self._runner = Runner(
            pipeline,
            folder,
            work.vocabulary,
            options.reading,
            options.profile,
            lambda record: None,
            lambda: None,
            self.costs,
            work.truths,
        )
        self._rasters = RasterRunner(
            pipeline,
            folder,
            work.vocabulary,
            options.windows,
            options.profile,
            lambda record: None,
            passed,
            self.costs,
            options.reading.rendering,
        )

    def run(self, todo: Iterable[ImageRecord], *, in_windows: bool = False) -> None:
        """Segment images as they come.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
            OvsskitError: the recipe cannot be run at all.
        """
        (self._rasters if in_windows else self._runner).run(todo)


def share_processor(replicas: int) -> None:
    """Let this process use its share of the processor."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // replicas))
