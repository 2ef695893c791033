"""Run a pipeline on the images of an output folder, and write what it finds as it goes on.

Memory stays bounded: one group of images waits to be written while the next is run.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock

from ovsskit._lazy import Int, numpy, torch
from ovsskit.engine.devices import peak_memory_of
from ovsskit.engine.driver import State, Watch
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import Reading
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Present, Vocabulary
from ovsskit.errors import CannotWrite, reason_of
from ovsskit.files.remote import image_path
from ovsskit.run.output.folder import HeldFolder, OutputFolder, failed
from ovsskit.run.output.maps import MapCollector
from ovsskit.run.output.notes import notes_on, rank_presence
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.output.save import Prediction, save_prediction
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.stream import Stream
from ovsskit.run.truths import Truths

WRITERS, REMOTE_WRITERS = 2, 16
"""How many images are written at a time; a remote folder lets each wait for its network."""
SAVE_EVERY = 20.0
"""Seconds after which `run.json` and the gallery are brought up to date."""
AT_MOST = 0.1
"""The share of the time that this may take: it takes the longer the more images there are."""


class Pace:
    """Call something now and then, the less often the longer it takes."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call, self.due = call, time.perf_counter() + SAVE_EVERY

    def look(self) -> None:
        """Call it if it is time to."""
        if (before := time.perf_counter()) > self.due:
            self.call()
            now = time.perf_counter()
            self.due = now + max(SAVE_EVERY, (now - before) / AT_MOST)


@dataclass
class Runner:
    """Run a pipeline on the images of a folder's record, and write what it finds into the folder.

    The record of an image says what to save of it. `profile` adds the seconds of every stage to the
    costs, and waits for the device after each stage. `tell` is called for every finished image;
    `publish` is called now and then to bring the folder up to date. `truths`, where there are any,
    are compared with what is found.
    """

    pipeline: Pipeline
    folder: OutputFolder | HeldFolder
    vocabulary: Vocabulary
    reading: Reading
    profile: bool
    tell: Callable[[ImageRecord], None]
    publish: Callable[[], None]
    costs: Costs = field(default_factory=Costs)
    truths: Truths | None = None
    _writing: deque[Future[None]] = field(default_factory=deque)
    _noting: Lock = field(default_factory=Lock)
    _collector: MapCollector | None = None

    def run(self, todo: Iterable[ImageRecord]) -> None:
        """Run on these images; when stopped, what has been found is still written.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
            OvsskitError: the recipe cannot be run at all, for example because weights are missing.
        """
        start = time.perf_counter()
        pace = Pace(self._publish)
        writers = WRITERS if self.folder.remote is None else REMOTE_WRITERS
        writing = ThreadPoolExecutor(writers, "write")
        stream = Stream[ImageRecord](
            self.pipeline,
            self.vocabulary,
            read=self._read,
            fail=lambda record, reason: self._note(failed(record, reason)),
            alone=lambda record: "maps" in record.saved,
            watch=self._watch,
            timed=self.profile,
        )
        try:
            for group in stream.run(todo):
                for found in group:
                    self._settle(2 * self.pipeline.batch)
                    self._writing.append(writing.submit(self._save, self._prediction(*found)))
                self._settle(self.pipeline.batch)
                pace.look()
        finally:
            try:
                self._settle(0)
            finally:
                writing.shutdown(cancel_futures=True)
                self.costs.seconds += time.perf_counter() - start
                self.costs.peak_memory, self.costs.peak_device_memory = peak_memory(
                    self.pipeline.device
                )

    def _publish(self) -> None:
        with self._noting:
            self.publish()

    def _read(self, record: ImageRecord) -> Image:
        return read_image(image_path(record.source, record.stamp), self.reading)

    def _watch(self, group: Sequence[ImageRecord]) -> Watch:
        """Return what hears of the stages of a group, and collects its maps if they are saved."""
        self._collector = collector = MapCollector() if "maps" in group[0].saved else None

        def watch(stage: Stage, states: Sequence[State], seconds: float) -> None:
            if self.profile:
                self.costs.add(stage.address, seconds)
            if collector is not None:
                collector(stage, states, seconds)

        return watch

    def _prediction(self, record: ImageRecord, image: Image, state: State) -> Prediction:
        present: Present | None = state.get("present")
        record = replace(
            record,
            presence=rank_presence(present, self.vocabulary),
            notes=notes_on(image, present),
        )
        scores = state["scores"].to("cpu") if {*record.saved} & {"scores", "confidence"} else None
        sheets = None if self._collector is None else tuple(self._collector.sheets)
        return Prediction(
            record, image.pixels.numpy(), final_labels(state, image.size), scores, sheets
        )

    def _save(self, prediction: Prediction) -> None:
        try:
            record = save_prediction(self.folder, prediction, self.vocabulary, self.truths)
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


def final_labels(state: State, size: tuple[int, int]) -> Int[numpy.ndarray, "h w"]:
    """Return the id of every pixel's class, at the image's height and width."""
    labels = state["labels"].ids
    if tuple(labels.shape) != size:
        labels = torch.nn.functional.interpolate(labels[None, None].float(), size)[0, 0].long()
    ids: Int[numpy.ndarray, "h w"] = labels.cpu().numpy().astype(numpy.int64)
    return ids


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
