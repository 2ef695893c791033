"""Read annotation files in COCO's form: outlines of segments in images, in one JSON file."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from ovsskit._lazy import Bool, Int, numpy
from ovsskit.datasets.extra import need
from ovsskit.datasets.json_entries import read_entries
from ovsskit.datasets.runs import draw_runs, unpack_counts
from ovsskit.errors import BadFile, Place
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.reading import Unreadable

Side = Annotated[int, Field(ge=1, le=MAX_PIXELS)]


@dataclass(frozen=True, slots=True)
class Listed:
    """Describe an image as an annotation file does."""

    file_name: str
    height: Side
    width: Side
    phase: str = ""

    @property
    def stem(self) -> str:
        """Return the name of the image's file without folder and ending."""
        return PurePosixPath(self.file_name).stem


@dataclass(frozen=True)
class Runs:
    """Hold a segment as lengths of runs, packed into a text or not."""

    counts: str | list[int]
    size: tuple[Side, Side]


@dataclass(frozen=True)
class Segment:
    """Hold a segment: its image, its category, and the polygons or runs that it covers."""

    image_id: int
    category_id: Annotated[int, Field(ge=1)]
    segmentation: list[Annotated[list[float], Field(min_length=6)]] | Runs


_read_image = TypeAdapter(Listed).validate_python
_read_segment = TypeAdapter(Segment).validate_python


class Annotations:
    """Know the images of a file, and where in it the segments of each stand.

    Segments are read from the file when they are asked for; what is kept of each takes 24 bytes.
    """

    def __init__(self, path: Path, key: str = "annotations", id: str = "id") -> None:
        """Read the file once; `key` is the list of segments, and `id` what numbers images.

        Raises:
            MissingExtra: pycocotools is not installed.
            BadFile: the file is broken, or names an image twice.
        """
        self._masks = need("pycocotools.mask", "Reading annotations in COCO's form")
        self.path, self.where = path, Place(str(path))
        self.images: dict[int, Listed] = {}
        self.categories: dict[int, str] = {}
        found = array("q")
        try:
            for entry in read_entries(path):
                if entry.key == "images":
                    self._add_image(entry.value, id)
                elif entry.key == key:
                    found.extend((int(entry.value["image_id"]), entry.start, entry.length))
                elif entry.key == "categories" and "id" in entry.value:
                    self.categories[int(entry.value["id"])] = str(entry.value["name"])
        except (Unreadable, ValidationError, KeyError, TypeError, ValueError) as error:
            raise self._broken(error) from error
        if not self.images:
            raise BadFile("The file of annotations lists no image.", where=self.where)
        table = numpy.array(found, "int64").reshape(-1, 3)
        self._segments = table[numpy.argsort(table[:, 0], kind="stable")]
        strange = {*numpy.unique(table[:, 0]).tolist()} - {*self.images}
        if strange:
            what = f"Segments belong to {len(strange)} images that the file does not list"
            raise BadFile(f"{what}, such as {min(strange)}.", where=self.where)

    def paint(self, image: int, canvas: Int[numpy.ndarray, "h w"], *, over: bool = False) -> None:
        """Paint the categories of an image's segments in the file's order onto a map of zeros.

        The first that is painted stays, or with `over` the last.

        Raises:
            BadFile: a segment is not of this size or not well formed, or the file was changed.
        """
        for segment in self._segments_of(image):
            covered = self._cover(segment, canvas.shape)
            canvas[covered if over else covered & (canvas == 0)] = segment.category_id

    def _add_image(self, value: Any, id: str) -> None:
        number = int(value[id])
        if number in self.images:
            raise ValueError(f"the image {number} is listed twice")
        self.images[number] = _read_image(value)

    def _segments_of(self, image: int) -> Iterator[Segment]:
        first, last = numpy.searchsorted(self._segments[:, 0], (image, image + 1)).tolist()
        try:
            with self.path.open("rb") as file:
                for _, start, length in self._segments[first:last].tolist():
                    file.seek(start)
                    segment = _read_segment(json.loads(file.read(length)))
                    if segment.image_id != image:
                        raise ValueError("it was changed while it was read")
                    yield segment
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    def _cover(self, segment: Segment, size: Sequence[int]) -> Bool[numpy.ndarray, "h w"]:
        height, width = size
        held = segment.segmentation
        where = Place(f"{self.path}, image {segment.image_id}")
        if isinstance(held, Runs):
            if held.size != (height, width):
                what = f"A segment is {held.size[1]} x {held.size[0]} pixels, and its image "
                raise BadFile(f"{what}{width} x {height}.", where=where)
            counts = held.counts
            try:
                runs = unpack_counts(counts) if isinstance(counts, str) else counts
                return draw_runs(runs, height, width)
            except ValueError as error:
                what = f"The runs of a segment are broken: {error}."
                raise BadFile(what, where=where) from error
        far = 2 * max(height, width)  # the library takes memory by a polygon's length
        if any(not -far <= value <= far for part in held for value in part):
            raise BadFile("A polygon lies far outside its image.", where=where)
        if not held:
            return numpy.zeros((height, width), bool)
        packed = self._masks.merge(self._masks.frPyObjects(held, height, width))
        return numpy.asarray(self._masks.decode(packed), bool)

    def _broken(self, error: Exception) -> BadFile:
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            reason = f"at `{'.'.join(map(str, first['loc']))}`: {first['msg']}"
        elif isinstance(error, KeyError):
            reason = f"an entry has no `{error.args[0]}`"
        else:
            reason = str(error)
        what = f"The file of annotations cannot be read: {reason}."
        return BadFile(what, fix="Is it whole? Fetch it again.", where=self.where)
