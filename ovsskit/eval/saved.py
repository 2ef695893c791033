"""What an earlier run found in the images of a data set: no network is needed any more."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.dataset import Item
from ovsskit.datasets.masks import read_mask
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadFile, OvsskitError, Place, reason_of
from ovsskit.eval.predictions import Fail, Prediction, Predictions, Spot
from ovsskit.files.own import RUN, is_record
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.record import Costs, ImageRecord

log = logging.getLogger(__name__)


class SavedPredictions(Predictions):
    """Read the masks that `ovsskit run` left in a folder."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        """Read the record of the run.

        Raises:
            BadFile: the folder holds no run, or its record cannot be read.
        """
        self.folder, self.max_pixels = folder, max_pixels
        path = folder / RUN
        if not is_record(path):
            what = "The folder holds no finished run: there is no `run.json` of ours in it."
            fix = "Name the folder that `ovsskit run --out` wrote."
            raise BadFile(what, fix=fix, where=Place(str(folder)))
        try:
            self.record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            records = [ImageRecord.from_plain(one) for one in self.record["images"]]
            self.vocabulary = _vocabulary(self.record["identity"]["classes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"The record of the run cannot be read: {error}."
            raise BadFile(what, where=Place(str(path))) from error
        self.records = [one for one in records if one.state == "done"]
        if len(self.records) < len(records):
            text = "%d of the %d images of the run are not done, and count nowhere"
            log.warning(text, len(records) - len(self.records), len(records))
        self.title = str(self.record.get("recipe", {}).get("name", "")) or folder.name
        self._by_source = {one.source: one for one in self.records}
        self._by_stem = {Path(one.source).stem: one for one in self.records}

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
                image = spot.item.read_image(self.max_pixels)
                yield Prediction(spot, image, self._mask(spot.item))
            except OvsskitError as error:
                fail(spot, reason_of(error))

    def identity(self) -> dict[str, Any]:
        """Return the identity of the run."""
        known: dict[str, Any] = self.record["identity"]
        return known

    def describe(self) -> Mapping[str, Any]:
        """Return what the record of the run says of it."""
        kept = ("recipe", "overrides", "models", "device", "batch", "versions")
        found = {key: self.record[key] for key in kept if key in self.record}
        return found | {"run": {"folder": str(self.folder), "costs": self.record.get("costs", {})}}

    def _mask(self, item: Item) -> Int[numpy.ndarray, "h w"]:
        record = self._record_of(item)
        if record is None:
            raise BadFile("The run has no mask of this image.", where=Place(item.where))
        name = f"masks/{record.name}.png"
        path, written = self.folder / name, record.files.get(name)
        if written is not None and path.is_file() and path.stat().st_size != written.size:
            what = "The mask is not the one that the run wrote."
            raise BadFile(what, fix="Run again.", where=Place(str(path)))
        return read_mask(path)

    def _record_of(self, item: Item) -> ImageRecord | None:
        known = str(Path(item.where).absolute())
        return self._by_source.get(known) or self._by_stem.get(Path(item.name).name)


def _vocabulary(plain: Mapping[str, Any]) -> Vocabulary:
    names, others = plain["names"], plain["synonyms"] or [[]] * len(plain["names"])
    return make_vocabulary(
        [", ".join((name, *more)) for name, more in zip(names, others, strict=True)],
        plain["ids"][1:],
        plain["background"],
        background_words=plain["background_words"],
    )
