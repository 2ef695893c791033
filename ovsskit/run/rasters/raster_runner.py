"""Run a pipeline on rasters window by window, and write what it finds into an output folder.

Memory stays bounded whatever the size of a raster: windows are read, run and kept on disk in
groups, and put together some rows at a time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ovsskit._lazy import Bool, numpy
from ovsskit._version import __version__
from ovsskit.engine.driver import State
from ovsskit.engine.rendering import PLAIN, Rendering
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import CannotWrite, MissingExtra, OvsskitError
from ovsskit.files.digests import digest_texts
from ovsskit.run.output.folder import HeldFolder, OutputFolder, failed
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.output.save import winning_scores
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.rasters.grid import Window, WindowSize, lay_grid
from ovsskit.run.rasters.raster_file import void_of
from ovsskit.run.rasters.saving import Whole
from ovsskit.run.rasters.source import RasterSource, reading
from ovsskit.run.rasters.tiles import Tile, Tiles
from ovsskit.run.runner import final_labels, peak_memory
from ovsskit.run.stream import Stream


@dataclass
class RasterRunner:
    """Run a pipeline on the rasters of a folder's record.

    `tell` is called for every finished raster, `tell_window` with the record, how many windows are
    done, and how many there are.
    """

    pipeline: Pipeline
    folder: OutputFolder | HeldFolder
    vocabulary: Vocabulary
    windows: WindowSize
    profile: bool
    tell: Callable[[ImageRecord], None]
    tell_window: Callable[[ImageRecord, int, int], None]
    costs: Costs = field(default_factory=Costs)
    rendering: Rendering = PLAIN

    def run(self, todo: Iterable[ImageRecord]) -> None:
        """Run on these rasters one after the other; when stopped, finished windows are kept.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
            OvsskitError: the recipe cannot be run at all, for example because weights are missing.
        """
        for record in todo:
            start = time.perf_counter()
            tiles = None
            try:
                with reading(Path(record.source), self.rendering) as source:
                    raster = _Raster(self, record, source)
                    done, tiles = raster.run(), raster.tiles
            except (CannotWrite, MissingExtra):
                raise
            except OvsskitError as error:
                done = failed(record, error.reason)
            finally:
                self.costs.seconds += time.perf_counter() - start
                self.costs.peak_memory, self.costs.peak_device_memory = peak_memory(
                    self.pipeline.device
                )
            self.folder.finish(done)
            if tiles is not None and done.state == "done":
                tiles.remove()
            self.tell(done)


class _Raster:
    """Run the windows of one raster that are still to do, and put all together."""

    def __init__(self, runner: RasterRunner, record: ImageRecord, source: RasterSource) -> None:
        self.runner, self.record, self.source = runner, record, source
        anchor = source.georeference.anchor
        self.grid = lay_grid(source.size, anchor, runner.windows)
        made_of = [__version__, record.stamp, anchor, asdict(runner.windows), record.saved]
        key = digest_texts([json.dumps(made_of)])[:16]
        self.tiles = Tiles(runner.folder, record.name, key)
        self.void = void_of(runner.vocabulary)
        self.valid: dict[str, Bool[numpy.ndarray, "h w"]] = {}
        self.empty: set[str] = set()
        self.broken: list[str] = []
        self.passed = 0

    def run(self) -> ImageRecord:
        self.tiles.remove(others=True)
        stream = Stream[Window](
            self.runner.pipeline,
            self.runner.vocabulary,
            read=self._read,
            fail=self._fail,
            watch=lambda _: self._time if self.runner.profile else None,
            timed=self.runner.profile,
        )
        for group in stream.run(self._todo()):
            for window, image, state in group:
                self._keep(window, image, state)
        if self.broken:
            more = f" and {len(self.broken) - 1} more" if self.broken[1:] else ""
            return failed(self.record, f"{self.broken[0]}{more}")
        whole = Whole(
            self.record, self.source, self.grid, self.tiles, self.empty, self.runner.vocabulary
        )
        return whole.save()

    def _todo(self) -> Iterator[Window]:
        """Yield the windows that hold a number and are not done."""
        for window in self.grid:
            if self.tiles.get(window) is not None:
                self._pass()
            elif self.source.is_empty(window):
                self.empty.add(window.name)
                self._pass()
            else:
                yield window

    def _read(self, window: Window) -> Image:
        image, self.valid[window.name] = self.source.read_valid(window)
        return image

    def _keep(self, window: Window, image: Image, state: State) -> None:
        labels = final_labels(state, image.size)
        valid = self.valid.pop(window.name)
        labels[~valid] = self.void
        confidence = None
        if "confidence" in self.record.saved:
            confidence = winning_scores(state["scores"].to("cpu"), image.size).numpy()
            confidence = numpy.where(valid, confidence, numpy.float32(math.nan))
        labels = labels.astype("uint8" if self.void <= 255 else "uint16")
        self.tiles.put(window, Tile(labels, confidence))
        self._pass()

    def _fail(self, window: Window, reason: str) -> None:
        self.valid.pop(window.name, None)
        rows, columns = window
        self.broken.append(f"The window at row {rows.start}, column {columns.start}: {reason}")
        self._pass()

    def _time(self, stage: Stage, states: Sequence[State], seconds: float) -> None:
        self.runner.costs.add(stage.address, seconds)

    def _pass(self) -> None:
        self.passed += 1
        self.runner.tell_window(self.record, self.passed, len(self.grid))
