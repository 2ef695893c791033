"""What an earlier run found in the images of a data set: no network is needed any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.dataset import Item
from ovsskit.engine.rendering import Reading
from ovsskit.errors import BadFile, OvsskitError, Place, reason_of
from ovsskit.eval.predictions import Fail, Prediction, Predictions, Spot
from ovsskit.files.remote import image_path
from ovsskit.run.finished import FinishedRun
from ovsskit.run.output.record import Costs, ImageRecord


class SavedPredictions(Predictions):
    """Read the masks that `ovsskit run` left in a folder."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        """Read the record of the run.

        Raises:
            BadFile: the folder holds no run, or its record cannot be read.
        """
        self.finished = FinishedRun(folder)
        self.reading = Reading(max_pixels, self.finished.rendering)
        self.vocabulary, self.title = self.finished.vocabulary, self.finished.title
        self.records = self.finished.records

    @property
    def images(self) -> tuple[str, ...]:
        """Return the images that the run found classes in, by their paths."""
        return tuple(one.source for one in self.records)

    def has(self, item: Item) -> bool:
        """Tell whether the run has found classes in an image."""
        return self._record_of(item) is not None

    def prepare(self, costs: Costs) -> None:
        """Read nothing: everything is there."""

    def run(self, spots: Iterable[Spot], fail: Fail) -> Iterator[Prediction]:
        """Yield the mask of each image."""
        for spot in spots:
            try:
                image = spot.item.read_image(self.reading)
                yield Prediction(spot, image, self._mask(spot.item))
            except OvsskitError as error:
                fail(spot, reason_of(error))

    def identity(self) -> dict[str, Any]:
        """Return the identity of the run."""
        return self.finished.identity

    def describe(self) -> Mapping[str, Any]:
        """Return what the record of the run says of it."""
        kept = ("recipe", "overrides", "models", "device", "batch", "versions")
        record = self.finished.record
        found = {key: record[key] for key in kept if key in record}
        run = {"folder": str(self.finished.folder), "costs": record.get("costs", {})}
        return found | {"run": run}

    def _mask(self, item: Item) -> Int[numpy.ndarray, "h w"]:
        record = self._record_of(item)
        if record is None:
            raise BadFile("The run has no mask of this image.", where=Place(item.where))
        return self.finished.mask(record)

    def _record_of(self, item: Item) -> ImageRecord | None:
        images = self.finished.images
        found = images.of_source(str(image_path(item.where).absolute()))
        if found is not None and found.state == "done":
            return found
        return images.of_stem(Path(item.name).name, "done")
