"""Read images and true masks that are rows of a table, as parquet files and the hub have them."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.class_file import ClassFile
from ovsskit.datasets.dataset import Dataset, Item
from ovsskit.datasets.truth import IGNORED, ReadTruth, facts_from, truth_reader
from ovsskit.engine.images import read_encoded
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.engine.values import Image
from ovsskit.errors import NoDataset, Place, did_you_mean, first_of

IMAGES = ("image", "img", "images", "jpg", "png", "pixel_values")
TRUTHS = (
    *("annotation", "label", "mask", "segmentation", "annotations", "labels", "masks"),
    *("segmentation_mask", "semantic_mask", "semantic_map", "seg_map", "label_map", "ground_truth"),
)
EVALUATED = ("validation", "val", "test")
"""Splits that are taken when none is named, the first that is there."""


@dataclass(frozen=True)
class Columns:
    """Name the columns of the images and of the true masks."""

    image: str
    truth: str


class Rows(ABC):
    """Know the rows of a table."""

    columns: Columns
    paths: Sequence[str]
    """What the files of the images were called, of each row; empty where that is not known."""

    @abstractmethod
    def cell(self, row: int, column: str) -> bytes:
        """Return the content of an image file.

        Raises:
            BadFile: the row has none, or the table is broken.
        """

    @abstractmethod
    def where(self, row: int) -> str:
        """Return where a row is, for messages."""


@dataclass(frozen=True, eq=False)
class Source:
    """Know what all rows of a table share."""

    rows: Rows
    names: Sequence[str]
    read: ReadTruth


class RowItem(Item):
    """One row of a table."""

    __slots__ = ("_row", "_source")

    def __init__(self, source: Source, row: int) -> None:
        self._source, self._row = source, row

    @property
    def name(self) -> str:
        """Return what the image's file was called, without ending, or the number of the row."""
        return self._source.names[self._row]

    @property
    def where(self) -> str:
        """Return the table and the row."""
        return self._source.rows.where(self._row)

    def read_image(self, reading: Reading = AS_USUAL) -> Image:
        """Read the image."""
        rows = self._source.rows
        content = rows.cell(self._row, rows.columns.image)
        return read_encoded(content, self.where, self.name, reading)

    def read_truth(self) -> Int[numpy.ndarray, "h w"]:
        """Read the true mask."""
        rows = self._source.rows
        content = rows.cell(self._row, rows.columns.truth)
        return self._source.read(io.BytesIO(content), f"{self.where}, column {rows.columns.truth}")


def open_rows(
    rows: Rows, title: str, split: str, kind: str, file: ClassFile, ignore: Sequence[int] = IGNORED
) -> Dataset:
    """Return the rows of a table as a data set, whose classes a file tells."""
    source = Source(rows, name_rows(rows.paths), truth_reader(file, ignore))
    items = [RowItem(source, row) for row in range(len(rows.paths))]
    layout = f"{kind}, {rows.columns.image}:{rows.columns.truth}"
    return Dataset(facts_from(file, title), split, layout, items, (str(file.path),))


def name_rows(paths: Sequence[str]) -> list[str]:
    """Name rows by their files, or by their numbers where files have no names or share one."""
    stems = [PurePosixPath(path.replace("\\", "/")).stem for path in paths]
    counts = Counter(stems)
    width = len(str(len(stems)))
    return [
        stem if stem and counts[stem] == 1 else f"{row:0{width}d}" for row, stem in enumerate(stems)
    ]


def choose_columns(kinds: Mapping[str, bool], layout: str, where: str) -> Columns:
    """Return the columns that a person names, as `image:truth`, or that have usual names.

    `kinds` says of every column whether it may hold the files of images.

    Raises:
        NoDataset: there are no such columns.
    """
    wanted = layout.partition(":")[::2] if layout else ("", "")
    chosen = []
    for given, usual, what in zip(wanted, (IMAGES, TRUTHS), ("images", "true masks"), strict=True):
        found = [given] if given else [one for one in usual if kinds.get(one)]
        if not found or not kinds.get(found[0]):
            held = [f"{name}{'' if fits else ' (no images)'}" for name, fits in kinds.items()]
            fix = did_you_mean(given, list(kinds)) or "Name both columns: --layout image:mask"
            raise NoDataset(
                f"No column `{given}` holds the {what}." if given else f"No column holds {what}.",
                there=f"Available: {first_of(held)}",
                fix=fix,
                where=Place(where),
            )
        chosen.append(found[0])
    return Columns(*chosen)


def choose_split(known: Sequence[str], wanted: str, where: str) -> str:
    """Return the split that a person names, or the one to evaluate on.

    Raises:
        NoDataset: there is none of this name, or several and none is known to be the one.
    """
    usual = [one for one in EVALUATED if one in known]
    if wanted in known:
        return wanted
    if not wanted and (usual or len(known) == 1):
        return [*usual, *known][0]
    what = f"There is no split `{wanted}`." if wanted else "There are several splits."
    fix = did_you_mean(wanted, known) or "Name one of them: --split"
    raise NoDataset(what, there=f"Available: {first_of(known)}", fix=fix, where=Place(where))
