"""What a run found in one image, as formats read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ovsskit._lazy import Float, Int, numpy
from ovsskit.export.classes import ExportClass, ExportClasses
from ovsskit.export.runs import class_runs
from ovsskit.run.finished import FinishedRun, SavedScores
from ovsskit.run.output.record import ImageRecord


@dataclass(frozen=True)
class Segment:
    """Hold the pixels of one class in an image.

    `counts` are the lengths of runs down the columns, outside first, as COCO has them; `box` is
    left, top, width and height; `confidence` is the mean of its pixels, None where none was saved.
    """

    kind: ExportClass
    counts: tuple[int, ...]
    area: int
    box: tuple[int, int, int, int]
    confidence: float | None


@dataclass
class Found:
    """Hold what was found in one image.

    `number` is its place in the run, from 1; `image` is where formats say that the image lies: a
    path in the folder if it was copied or linked, else one below the common folder of all images.
    """

    number: int
    record: ImageRecord
    image: str
    run: FinishedRun
    classes: ExportClasses
    least: float | None = None

    @property
    def name(self) -> str:
        """Return the name of the image's files in the run, which no other image has."""
        return self.record.name

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return self.record.size

    @cached_property
    def ids(self) -> Int[numpy.ndarray, "h w"]:
        """Return the number of every pixel's class; background where it is not exported.

        That is where the class is none of those that are, and where the confidence is below the
        least.
        """
        ids = self.classes.keep(self.run.mask(self.record))
        if self.least is not None and self.confidence is not None:
            ids[self.confidence < self.least] = self.classes.background.number
        return ids

    def strips(
        self,
    ) -> Iterator[tuple[Int[numpy.ndarray, "rows w"], Float[numpy.ndarray, "rows w"] | None]]:
        """Yield what `ids` and `confidence` hold some rows at a time.

        A raster is never in memory as a whole.
        """
        masks = self.run.mask_strips(self.record)
        if self.least is None and not self.run.has_confidence(self.record):
            yield from ((self.classes.keep(ids), None) for ids in masks)
            return
        for ids, confidence in zip(masks, self.run.confidence_strips(self.record), strict=True):
            kept = self.classes.keep(ids)
            if self.least is not None:
                kept[confidence < self.least] = self.classes.background.number
            yield kept, confidence

    @cached_property
    def confidence(self) -> Float[numpy.ndarray, "h w"] | None:
        """Return how well every pixel's class scored; None where the run did not save it."""
        has = self.least is not None or self.run.has_confidence(self.record)
        return self.run.confidence(self.record) if has else None

    @property
    def scores(self) -> SavedScores:
        """Return the scores of the classes that are exported."""
        saved = self.run.scores(self.record)
        known = self.classes.by_number
        kept = [place for place, number in enumerate(saved.ids) if number in known]
        ids = tuple(saved.ids[place] for place in kept)
        names = tuple(known[number].name for number in ids)
        return SavedScores(saved.maps[kept], ids, names, saved.kind)

    @cached_property
    def areas(self) -> dict[int, int]:
        """Return how many pixels each class that is there has, by its number."""
        counts = numpy.bincount(self.ids.ravel())
        return {int(number): int(counts[number]) for number in numpy.flatnonzero(counts)}

    @cached_property
    def confidences(self) -> dict[int, float]:
        """Return the mean confidence of each class that is there; none where none was saved."""
        if self.confidence is None:
            return {}
        sums = numpy.bincount(self.ids.ravel(), self.confidence.ravel())
        return {number: float(sums[number]) / area for number, area in self.areas.items()}

    def segments(self) -> Iterator[Segment]:
        """Yield the pixels of each class that is there, without the background."""
        height, known = self.ids.shape[0], self.classes.by_number
        for number, runs in class_runs(self.ids.T):
            if number != self.classes.background.number:
                box = runs.box(height)
                confidence = self.confidences.get(number)
                yield Segment(known[number], runs.counts(), runs.area, box, confidence)
