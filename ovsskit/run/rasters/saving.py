"""Put the windows of a raster together, and write the files of the whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from ovsskit._lazy import Float, Int, Shaped, numpy
from ovsskit.engine.values import Vocabulary
from ovsskit.files.own.written import Written
from ovsskit.run.output.overlay import LONGEST, list_areas
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.output.save import Prediction, put_pictures
from ovsskit.run.rasters.grid import Grid
from ovsskit.run.rasters.raster_file import void_of, write_geotiff, write_mask_geotiff
from ovsskit.run.rasters.seams import Seams
from ovsskit.run.rasters.source import RasterSource
from ovsskit.run.rasters.tiles import Tiles


@dataclass
class Whole:
    """Hold a raster of which all windows are done; `empty` names those without any number."""

    record: ImageRecord
    source: RasterSource
    grid: Grid
    tiles: Tiles
    empty: Collection[str]
    vocabulary: Vocabulary
    _files: dict[str, Written] = field(default_factory=dict)

    def save(self) -> ImageRecord:
        """Write mask, confidence, and reduced images; return the record with what was written.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
            BadImage: the raster cannot be read any more.
        """
        void, background = void_of(self.vocabulary), self.vocabulary.ids[0]
        step = max(1, math.ceil(max(self.grid.size) / LONGEST))
        seen = _Seen(step)
        seams = Seams(self.tiles, self.grid, self.empty)
        strips = seams.strips(void, "int32")
        place, name = self.source.georeference, self.record.name
        self._put(
            f"masks/{name}.tif",
            lambda file: write_mask_geotiff(
                file, self.grid.size, place, seen.watch(strips), self.vocabulary, nodata=void
            ),
        )
        confidence = self._save_confidence(seams) if "confidence" in self.record.saved else None
        missing = seen.counts.pop(void, 0)
        if missing:
            seen.counts[background] += missing
        pixels, notes = self.source.overview(step)
        labels = seen.labels
        labels[labels == void] = background
        areas = list_areas(seen.counts, self.vocabulary)
        put_pictures(self._put, Prediction(self.record, pixels, labels), self.vocabulary, areas)
        height, width = self.grid.size
        return replace(
            self.record,
            state="done",
            notes=(*notes, *self._notes(missing, seams.share)),
            size=(width, height),
            areas=tuple((area.number, round(area.fraction, 6)) for area in areas),
            confidence=confidence,
            files=self._files,
        )

    def _put(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        self._files[name] = self.tiles.folder.write(name, write)

    def _save_confidence(self, seams: Seams) -> tuple[float, float]:
        """Write the winning scores as they are; return the least and the most of them."""
        strips = seams.strips(math.nan, "float32", "confidence")
        found = _Range()
        self._put(
            f"confidence/{self.record.name}.tif",
            lambda file: write_geotiff(
                file,
                self.grid.size,
                self.source.georeference,
                found.watch(strips),
                "float32",
                nodata=math.nan,
            ),
        )
        return (found.least, found.most) if found.least <= found.most else (0.0, 0.0)

    def _notes(self, missing: int, differing: float | None) -> list[str]:
        height, width = self.grid.rows[0], self.grid.columns[0]
        side = f"{width.stop - width.start} x {height.stop - height.start}"
        skipped = f", {len(self.empty):,} of them without any number" if self.empty else ""
        several = f"run in {len(self.grid):,} windows of {side} pixels{skipped}"
        notes = [several] if len(self.grid) > 1 else []
        void = void_of(self.vocabulary)
        if differing is not None:
            notes.append(f"neighbouring windows differ along {100 * differing:.1f} % of the seams")
        if missing:
            notes.append(f"{missing:,} pixels have no value, and are {void} in the mask")
        return notes


@dataclass
class _Seen:
    """Count the pixels of each class that pass, and keep one for every `step` x `step`."""

    step: int
    counts: Counter[int] = field(default_factory=Counter)
    kept: list[Int[numpy.ndarray, "rows cols"]] = field(default_factory=list)
    passed: int = 0

    def watch(
        self, strips: Iterable[Shaped[numpy.ndarray, "rows w"]]
    ) -> Iterator[Shaped[numpy.ndarray, "rows w"]]:
        for strip in strips:
            numbers = numpy.bincount(strip.ravel())
            self.counts.update({int(one): int(numbers[one]) for one in numbers.nonzero()[0]})
            self.kept.append(strip[-self.passed % self.step :: self.step, :: self.step].copy())
            self.passed += len(strip)
            yield strip

    @property
    def labels(self) -> Int[numpy.ndarray, "rows cols"]:
        return numpy.concatenate(self.kept)


@dataclass
class _Range:
    """Find the least and the most of the numbers that pass."""

    least: float = math.inf
    most: float = -math.inf

    def watch(
        self, strips: Iterable[Float[numpy.ndarray, "rows w"]]
    ) -> Iterator[Float[numpy.ndarray, "rows w"]]:
        for strip in strips:
            known = strip[numpy.isfinite(strip)]
            if known.size:
                self.least = min(self.least, float(known.min()))
                self.most = max(self.most, float(known.max()))
            yield strip
