"""Read what `ovsskit run` left in a folder: the record of every image, masks and scores."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.ImageColor
from pydantic import TypeAdapter

from ovsskit._lazy import Float, Int, numpy
from ovsskit.datasets.masks import read_mask
from ovsskit.engine.rendering import Rendering
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadFile, Place
from ovsskit.files.brought import Brought
from ovsskit.files.own.kinds import RUN, is_record
from ovsskit.files.own.written import measure
from ovsskit.files.reading import Unreadable, read_json
from ovsskit.files.remote import meant_path
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.gallery import CLASSES
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.output.records import IMAGES, InState, open_records
from ovsskit.run.rasters.raster_file import cut_strips, read_strips, void_of

WHITE = 65535
"""What stands for the highest confidence in a map."""

_READ_RENDERING: Callable[[Any], Rendering] = TypeAdapter(Rendering).validate_python

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavedScores:
    """Hold the scores of an image as a run saved them, at the size of the recipe's maps.

    `ids` are the numbers of the classes in masks; `kind` says what the numbers are
    (`Probabilities`, `Logits`, ...).
    """

    maps: Float[numpy.ndarray, "class h w"]
    ids: tuple[int, ...]
    names: tuple[str, ...]
    kind: str


class FinishedRun:
    """Hold the record of a run; masks and scores are read when they are asked for.

    `records` are those of the images that are done, in the order of their names; `images` those of
    all.
    """

    def __init__(self, folder: Path, *, may_grow: bool = False) -> None:
        """Read the record; of a run that `may_grow` nothing is said of what is not done yet.

        Raises:
            BadFile: the folder holds no run, or its record cannot be read.
        """
        self.folder = meant_path(folder)
        self._brought = Brought(folder, RUN, IMAGES, CLASSES)
        path, where = self._brought.path(RUN), Place(str(self.folder))
        if not is_record(path):
            what = "The folder holds no finished run: there is no `run.json` of ours in it."
            fix = "Name the folder that `ovsskit run --out` wrote."
            raise BadFile(what, fix=fix, where=where)
        try:
            self.record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            self.images = open_records(self._brought.folder, self.record)
            self.identity: dict[str, Any] = self.record["identity"]
            classes = _vocabulary(self.identity["classes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"The record of the run cannot be read: {error}."
            raise BadFile(what, where=Place(str(self.folder / RUN))) from error
        self.vocabulary = _coloured(classes, self._brought.path(CLASSES))
        self.records: Sequence[ImageRecord] = InState(self.images, "done")
        done, count = len(self.records), len(self.images)
        if done < count and not may_grow:
            text = "%d of the %d images of the run are not done, and count nowhere"
            log.warning(text, count - done, count)
        self.title = str(self.record.get("recipe", {}).get("name", "")) or folder.name

    @property
    def rendering(self) -> Rendering:
        """Return how numbers became colours; the usual way, where the record does not say it."""
        return _READ_RENDERING(self.record.get("reading", {}))

    def mask(self, record: ImageRecord) -> Int[numpy.ndarray, "h w"]:
        """Return the id of every pixel's class; background where a raster holds no number.

        Raises:
            BadFile: the mask is missing, is not the one that the run wrote, has another size than
                its image, or holds numbers of no class.
        """
        if not self.is_raster(record):
            path = self._path(record, f"masks/{record.name}.png", "mask")
            ids = read_mask(path)
            _see_size(ids, record, path)
            return self._see_classes(ids, path)
        return numpy.concatenate(list(self.mask_strips(record)))

    def mask_strips(self, record: ImageRecord) -> Iterator[Int[numpy.ndarray, "rows w"]]:
        """Yield the mask `BLOCK` rows at a time; that of a raster is never in memory as a whole.

        Raises:
            BadFile: see `mask`.
        """
        if not self.is_raster(record):
            yield from cut_strips(self.mask(record))
            return
        path = self._path(record, f"masks/{record.name}.tif", "mask")
        void = void_of(self.vocabulary)
        for strip in read_strips(path, record.size):
            ids = strip.astype("int32")
            ids[ids == void] = self.vocabulary.ids[0]
            yield self._see_classes(ids, path)

    def is_raster(self, record: ImageRecord) -> bool:
        """Tell whether an image was run in windows, and its mask lies where it does."""
        return f"masks/{record.name}.tif" in record.files

    def _see_classes(self, ids: Int[numpy.ndarray, "h w"], path: Path) -> Int[numpy.ndarray, "h w"]:
        known = numpy.zeros(max(*self.vocabulary.ids, int(ids.max(initial=0))) + 1, bool)
        known[list(self.vocabulary.ids)] = True
        if not known[ids].all():
            what = "The mask holds numbers of no class of the run."
            raise BadFile(what, fix="Run again.", where=Place(str(path)))
        return ids

    def has_confidence(self, record: ImageRecord) -> bool:
        """Tell whether the run saved how well the winning class scored in an image."""
        names = (f"confidence/{record.name}.png", f"confidence/{record.name}.tif")
        return record.confidence is not None and any(name in record.files for name in names)

    def has_scores(self, record: ImageRecord) -> bool:
        """Tell whether the run saved the maps of all classes of an image."""
        return f"scores/{record.name}.npz" in record.files

    def confidence(self, record: ImageRecord) -> Float[numpy.ndarray, "h w"]:
        """Return how well every pixel's class scored, in the unit of the recipe's scores.

        Raises:
            BadFile: none was saved, or the map is missing, or not the one that the run wrote.
        """
        if record.confidence is None:
            raise _unsaved("confidence", record)
        if self.is_raster(record):
            return numpy.concatenate(list(self.confidence_strips(record)))
        path = self._path(record, f"confidence/{record.name}.png", "map of confidence")
        low, high = record.confidence
        grey = read_mask(path)
        _see_size(grey, record, path)
        return (low + grey.astype("float32") * ((high - low) / WHITE)).astype("float32")

    def confidence_strips(self, record: ImageRecord) -> Iterator[Float[numpy.ndarray, "rows w"]]:
        """Yield the confidence `BLOCK` rows at a time; the least of all where there is no number.

        Raises:
            BadFile: see `confidence`.
        """
        if record.confidence is None or not self.is_raster(record):
            yield from cut_strips(self.confidence(record))
            return
        path = self._path(record, f"confidence/{record.name}.tif", "map of confidence")
        for strip in read_strips(path, record.size):
            yield numpy.nan_to_num(strip, copy=False, nan=record.confidence[0])

    def scores(self, record: ImageRecord) -> SavedScores:
        """Return the maps of all classes.

        Raises:
            BadFile: none were saved, or they are missing, or not those that the run wrote.
        """
        path = self._path(record, f"scores/{record.name}.npz", "scores")
        try:
            with numpy.load(path, allow_pickle=False) as file:
                ids = tuple(int(one) for one in file["ids"])
                names = tuple(str(one) for one in file["names"])
                return SavedScores(file["scores"], ids, names, str(file["kind"]))
        except (OSError, ValueError, KeyError) as error:
            what = f"The scores cannot be read: {error}."
            raise BadFile(what, fix="Run again.", where=Place(str(path))) from error

    def _path(self, record: ImageRecord, name: str, what: str) -> Path:
        """Return where a file of an image lies that is the one that the run wrote."""
        if name not in record.files:
            raise _unsaved(what, record)
        where = Place(str(self.folder / name))
        try:
            path = self._brought.path(name)
            same = not path.is_symlink() and measure(path) == record.files[name]
        except OSError as error:
            told = f"The {what} of the run cannot be read: {error.strerror or error}."
            raise BadFile(told, fix="Run again.", where=where) from error
        if not same:
            told = f"The {what} is not the one that the run wrote."
            raise BadFile(told, fix="Run again.", where=where)
        return path


def _unsaved(what: str, record: ImageRecord) -> BadFile:
    option = {"scores": "scores", "mask": ""}.get(what, "confidence")
    fix = f"Run again with --save-{option}." if option else "Run again."
    return BadFile(f"The run saved no {what} of this image.", fix=fix, where=Place(record.source))


def _see_size(found: Int[numpy.ndarray, "h w"], record: ImageRecord, path: Path) -> None:
    width, height = record.size
    if found.shape != (height, width):
        what = (
            f"It is {found.shape[1]} x {found.shape[0]} pixels, and its image {width} x {height}."
        )
        raise BadFile(what, fix="Run again.", where=Place(str(path)))


def _vocabulary(plain: Mapping[str, Any]) -> Vocabulary:
    names, others = plain["names"], plain["synonyms"] or [[]] * len(plain["names"])
    return make_vocabulary(
        [", ".join((name, *more)) for name, more in zip(names, others, strict=True)],
        plain["ids"][1:],
        plain["background"],
        background_words=plain["background_words"],
        negatives=plain.get("negatives", ()),
    )


def _coloured(vocabulary: Vocabulary, path: Path) -> Vocabulary:
    """Return the vocabulary in the colours of the run, where the file of them is sound."""
    with suppress(Unreadable, ValueError, KeyError):
        listed = read_json(path, list[dict[str, Any]])
        colours = {one["number"]: PIL.ImageColor.getrgb(str(one["colour"])) for one in listed}
        chosen = tuple((*colours[number][:3],) for number in vocabulary.ids)
        return replace(vocabulary, colours=chosen)
    return vocabulary
