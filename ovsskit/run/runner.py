"""Run a pipeline over many images: others are read and written while the network works.

Memory stays bounded: images go through in groups of `batch`, fewer where they are large, about one
group is read ahead, and one waits to be written. An image that fails does not stop the others.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from ovsskit._lazy import numpy, torch
from ovsskit.engine.devices import peak_memory_of
from ovsskit.engine.driver import State, Watch
from ovsskit.engine.images import read_image
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Present, Vocabulary
from ovsskit.errors import CannotWrite, MissingExtra, OvsskitError, reason_of
from ovsskit.run.output.folder import OutputFolder, failed
from ovsskit.run.output.maps import MapCollector
from ovsskit.run.output.notes import notes_on, rank_presence
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.output.save import Prediction, save_prediction
from ovsskit.run.pipeline import Pipeline

GROUP_PIXELS = 8_000_000
"""How many pixels the images of a group have together at most, unless one alone has more."""

READERS, WRITERS = 2, 2
SAVE_EVERY = 20.0
"""Seconds after which `run.json` and the gallery are brought up to date."""

SAME_FAILURES = 5
"""After so many failures in a row that are not an image's own the run stops: then it is the recipe
that fails."""


@dataclass
class Runner:
    """Run a pipeline on the images of a folder's record, and write what it finds into the folder.

    The record of an image says what to save of it. `profile` adds the seconds of every stage to the
    costs, and waits for the device after each stage. `tell` is called for every finished image;
    `publish` is called now and then to bring the folder up to date.
    """

    pipeline: Pipeline
    folder: OutputFolder
    vocabulary: Vocabulary
    max_pixels: int
    profile: bool
    tell: Callable[[ImageRecord], None]
    publish: Callable[[], None]
    costs: Costs = field(default_factory=Costs)
    _writing: deque[Future[None]] = field(default_factory=deque)
    _noting: Lock = field(default_factory=Lock)
    _failures: int = 0

    def run(self, todo: Sequence[ImageRecord]) -> None:
        """Run on these images; when stopped, what has been found is still written.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
            OvsskitError: the recipe cannot be run at all, for example because weights are missing.
        """
        start, published = time.perf_counter(), time.perf_counter()
        reading = ThreadPoolExecutor(READERS, "read")
        writing = ThreadPoolExecutor(WRITERS, "write")
        try:
            for group in self._groups(todo, reading):
                for prediction in self._segment(group):
                    self._settle(2 * self.pipeline.batch)
                    self._writing.append(writing.submit(self._save, prediction))
                self._settle(self.pipeline.batch)
                if time.perf_counter() - published > SAVE_EVERY:
                    with self._noting:
                        self.publish()
                    published = time.perf_counter()
        finally:
            reading.shutdown(cancel_futures=True)
            try:
                self._settle(0)
            finally:
                writing.shutdown(cancel_futures=True)
                self.costs.seconds += time.perf_counter() - start
                self.costs.peak_memory, self.costs.peak_device_memory = peak_memory(
                    self.pipeline.device
                )

    def _groups(
        self, todo: Sequence[ImageRecord], pool: ThreadPoolExecutor
    ) -> Iterator[list[tuple[ImageRecord, Image]]]:
        """Yield images in groups; what cannot be read is noted and left out."""
        group: list[tuple[ImageRecord, Image]] = []
        pixels = 0
        for record, image in self._read(todo, pool):
            size = image.size[0] * image.size[1]
            alone = "maps" in record.saved
            if group and (alone or pixels + size > GROUP_PIXELS):
                yield group
                group, pixels = [], 0
            group.append((record, image))
            pixels += size
            if alone or len(group) == self.pipeline.batch:
                yield group
                group, pixels = [], 0
        if group:
            yield group

    def _read(
        self, todo: Sequence[ImageRecord], pool: ThreadPoolExecutor
    ) -> Iterator[tuple[ImageRecord, Image]]:
        ahead: deque[tuple[ImageRecord, Future[Image]]] = deque()
        coming = iter(todo)
        while True:
            for record in coming:
                ahead.append(
                    (
                        record,
                        pool.submit(read_image, Path(record.source), max_pixels=self.max_pixels),
                    )
                )
                if len(ahead) > self.pipeline.batch:
                    break
            if not ahead:
                return
            record, future = ahead.popleft()
            try:
                image = future.result()
            except OvsskitError as error:
                self._note(failed(record, reason_of(error)))
            except MemoryError:
                self._note(failed(record, "It does not fit into memory."))
            else:
                yield record, image

    def _segment(self, group: Sequence[tuple[ImageRecord, Image]]) -> list[Prediction]:
        """Run the pipeline on a group; if that fails, on its images one by one."""
        collector = MapCollector() if "maps" in group[0][0].saved else None

        def watch(stage: Stage, states: Sequence[State], seconds: float) -> None:
            if self.profile:
                self.costs.add(stage.address, seconds)
            if collector is not None:
                collector(stage, states, seconds)

        states = self._states(group, watch)
        if states is None and len(group) > 1:
            return [prediction for one in group for prediction in self._segment([one])]
        if states is None:
            return []
        self._failures = 0
        sheets = None if collector is None else tuple(collector.sheets)
        return [
            self._finding(record, image, state, sheets)
            for (record, image), state in zip(group, states, strict=True)
        ]

    def _states(
        self, group: Sequence[tuple[ImageRecord, Image]], watch: Watch
    ) -> list[State] | None:
        """Return what the pipeline finds in a group, or None; the error, with its tensors, goes."""
        images = [image for _, image in group]
        try:
            return self.pipeline.run_many(images, self.vocabulary, watch, timed=self.profile)
        except MissingExtra:
            raise
        except (
            Exception
        ) as error:  # stages may be anybody's, and one image's failure shall not stop the others
            if len(group) > 1:
                return None
            self._failures += not (isinstance(error, OvsskitError) and error.status == 1)
            if self._failures == SAME_FAILURES:
                raise
            self._note(failed(group[0][0], reason_of(error)))
            return None

    def _finding(self, record: ImageRecord, image: Image, state: State, sheets: Any) -> Prediction:
        present: Present | None = state.get("present")
        record = replace(
            record,
            presence=rank_presence(present, self.vocabulary),
            notes=notes_on(image, present),
        )
        labels = state["labels"].ids
        if tuple(labels.shape) != image.size:
            labels = torch.nn.functional.interpolate(labels[None, None].float(), image.size)[
                0, 0
            ].long()
        scores = state["scores"].to("cpu") if {*record.saved} & {"scores", "confidence"} else None
        return Prediction(
            record, image.pixels.numpy(), labels.cpu().numpy().astype(numpy.int64), scores, sheets
        )

    def _save(self, prediction: Prediction) -> None:
        try:
            record = save_prediction(self.folder, prediction, self.vocabulary)
        except CannotWrite:
            raise
        except Exception as error:  # such as too little memory to draw a huge image
            record = failed(prediction.record, reason_of(error))
        self._note(record)

    def _settle(self, most: int) -> None:
        """Wait until at most this many images are still to be written."""
        while self._writing and (len(self._writing) > most or self._writing[0].done()):
            self._writing.popleft().result()

    def _note(self, record: ImageRecord) -> None:
        with self._noting:
            self.folder.finish(record)
            self.tell(record)


def peak_memory(device: str) -> tuple[int | None, int | None]:
    """Return the most bytes of memory that this process has held, of its own and on a device."""
    on_device = peak_memory_of(device)
    try:
        import resource
        import sys
    except ImportError:
        return None, on_device
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, on_device
