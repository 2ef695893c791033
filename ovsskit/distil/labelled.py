"""Images with the labels that a teacher's run gave them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from ovsskit._lazy import Float, Int, numpy, torch
from ovsskit.distil.losses import ignore_unsure
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import Reading
from ovsskit.errors import NoImages, Place
from ovsskit.export.images import see_unchanged
from ovsskit.files.digests import digest_texts
from ovsskit.files.remote import image_path
from ovsskit.run.finished import FinishedRun
from ovsskit.run.output.record import ImageRecord


class Pair(NamedTuple):
    """Hold an image, and the teacher's label of every pixel.

    0 is the background; -1 teaches nothing.
    """

    image: Float[torch.Tensor, "3 h w"]
    labels: Int[torch.Tensor, "h w"]


@runtime_checkable
class Pairs(Protocol):
    """Hold images with labels; each is made or read when it is asked for."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def __getitem__(self, index: int) -> Pair:
        """Return an image and its labels."""


@dataclass(frozen=True)
class Labelled:
    """Hold images of a teacher's run by their places in it; each is read when it is asked for.

    Pixels teach nothing where the teacher's best value is `unsure_below`.
    """

    run: FinishedRun
    places: list[int]
    max_pixels: int
    unsure_below: float = 0.0

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.places)

    def record(self, index: int) -> ImageRecord:
        """Return the record of an image."""
        return self.run.records[self.places[index]]

    def __getitem__(self, index: int) -> Pair:
        """Read an image and its labels.

        Raises:
            BadImage, BadFile: the image or its mask is missing, broken, or has changed.
        """
        record = self.record(index)
        see_unchanged(record)
        reading = Reading(self.max_pixels, self.run.rendering)
        image = read_image(image_path(record.source), reading).data
        ids = self.run.vocabulary.ids
        label_of = numpy.zeros(max(ids) + 1, "int64")
        label_of[list(ids)] = range(len(ids))
        labels = torch.from_numpy(label_of[self.run.mask(record)])
        if self.unsure_below:
            confidence = torch.from_numpy(self.run.confidence(record))
            labels = ignore_unsure(labels, confidence, self.unsure_below)
        return Pair(image, labels)

    @property
    def digest(self) -> str:
        """Return the digest of which images these are, and how they are labelled."""
        listed = []
        for index in range(len(self)):
            record = self.record(index)
            masks = [one.digest for name, one in record.files.items() if name.startswith("masks/")]
            listed.append(json.dumps([record.source, record.stamp, masks]))
        return digest_texts(listed)


def split(
    run: FinishedRun, held_out: float, max_pixels: int, unsure_below: float = 0.0
) -> tuple[Labelled, Labelled]:
    """Return the images to teach on, and those that are held out: spread evenly over the run.

    Of those that are held out all pixels count.

    Raises:
        NoImages: none are left to teach on.
    """
    count, wanted = len(run.records), round(len(run.records) * held_out)
    held = {int((index + 0.5) * count / wanted) for index in range(wanted)}
    parts: tuple[list[int], list[int]] = ([], [])
    for place in range(count):
        parts[place in held].append(place)
    if not parts[0]:
        what = "The teacher labelled no image that a student could learn from."
        raise NoImages(what, where=Place(str(run.folder)))
    taught = Labelled(run, parts[0], max_pixels, unsure_below)
    return taught, Labelled(run, parts[1], max_pixels)
