"""Go through the images that two finished runs share, one at a time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ovsskit._lazy import Int, numpy
from ovsskit.compare.pixel_counts import count_pixels, disagreement
from ovsskit.compare.shared_classes import SharedClasses, match_classes
from ovsskit.errors import BadValue, Place
from ovsskit.files.remote import image_path
from ovsskit.run.finished import FinishedRun
from ovsskit.run.output.record import ImageRecord, stamp_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedImage:
    """Hold an image of both runs; `disagreement` is the share of pixels whose classes differ."""

    first: ImageRecord
    second: ImageRecord
    disagreement: float = 0.0

    @property
    def miou(self) -> tuple[float, float] | None:
        """Return the mean IoU of both runs with the true mask, where both know it."""
        if self.first.miou is None or self.second.miou is None:
            return None
        return self.first.miou, self.second.miou


@dataclass(frozen=True)
class Compared:
    """Hold what was counted: the images, the most disagreeing first, and pixels of all of them."""

    images: tuple[SharedImage, ...]
    counts: Counter[tuple[int, int]]

    @property
    def miou(self) -> tuple[float, float, int] | None:
        """Return the means of the images' mean IoU in both runs, and of how many images."""
        known = [one.miou for one in self.images if one.miou is not None]
        if not known:
            return None
        first, second = (sum(values) / len(known) for values in zip(*known, strict=True))
        return first, second, len(known)


class BothRuns:
    """Hold two finished runs, and the images that both have done.

    `only` counts the images that only the first run has, and only the second; `changed` those whose
    file is not the one that both runs saw.
    """

    def __init__(self, first: FinishedRun, second: FinishedRun) -> None:
        """Match images by their paths, and classes by their names.

        Raises:
            BadValue: the runs share no image that is still as both saw it.
        """
        self.runs = (first, second)
        self.classes: SharedClasses = match_classes(first.vocabulary, second.vocabulary)
        self.titles = (first.title, second.title)
        if first.title == second.title:
            self.titles = (str(first.folder), str(second.folder))
        pairs = [
            SharedImage(record, other)
            for record in first.records
            if (other := second.images.of_source(record.source)) and other.state == "done"
        ]
        self.only = (len(first.records) - len(pairs), len(second.records) - len(pairs))
        self.pairs = [one for one in pairs if _is_as_seen(one)]
        self.changed = len(pairs) - len(self.pairs)
        if not self.pairs:
            what = "The runs share no image that is unchanged since: there is nothing to compare."
            there = f"In both: {len(pairs)}, all changed or gone. Only in A: {self.only[0]}, only "
            there += f"in B: {self.only[1]}."
            fix = "Run both recipes on the same files."
            raise BadValue(what, there=there, fix=fix, where=Place(str(second.folder)))

    def count(self, tell: Callable[[], None]) -> Compared:
        """Count the pixels of all images; `tell` is called after each.

        Raises:
            BadFile: a mask is missing, or not the one that its run wrote.
        """
        total, found = Counter[tuple[int, int]](), []
        for pair in self.pairs:
            counts = count_pixels(*self.masks(pair), len(self.classes.names))
            total.update(counts)
            found.append(SharedImage(pair.first, pair.second, disagreement(counts)))
            tell()
        return Compared(tuple(sorted(found, key=lambda one: -one.disagreement)), total)

    def masks(
        self, pair: SharedImage
    ) -> tuple[Int[numpy.ndarray, "h w"], Int[numpy.ndarray, "h w"]]:
        """Return the classes of every pixel in both runs, by their places among the classes.

        Raises:
            BadFile: a mask is missing, or not the one that its run wrote.
        """
        first, second = self.runs
        ours, theirs = self.classes.places
        return ours[first.mask(pair.first)], theirs[second.mask(pair.second)]


def _is_as_seen(pair: SharedImage) -> bool:
    """Tell whether an image is still the one that both runs saw."""
    stamp = stamp_of(image_path(pair.first.source))
    return pair.first.stamp == pair.second.stamp == stamp
