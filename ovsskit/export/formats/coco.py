"""Write COCO's JSON of stuff: a run-length mask for each class of an image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

from ovsskit.datasets.extra import need
from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found, Segment

FILE = "annotations.json"


class Coco(Format):
    """COCO's JSON, one run-length mask for each class of an image (pycocotools, CVAT, FiftyOne)."""

    def check(self) -> None:
        """Check that the package is there that packs runs."""
        need("pycocotools.mask", "COCO's JSON", "export")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Return the image and its annotations."""
        width, height = found.size
        image = {"id": found.number, "file_name": found.image, "width": width, "height": height}
        return {"image": image, "annotations": [annotate(found, one) for one in found.segments()]}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the one file."""
        put(FILE, lambda file: write_json(file, self._head(), _images(parts), _annotations(parts)))

    def _head(self) -> dict[str, Any]:
        return {
            "info": {"description": self.title},
            "licenses": [],
            "categories": [
                {"id": one.number, "name": one.name, "supercategory": "stuff"}
                for one in self.classes.classes
            ],
        }


def annotate(found: Found, segment: Segment) -> dict[str, Any]:
    """Return what COCO's JSON holds of a class in an image, but for the number of the annotation.

    `score` is the mean confidence, where the run saved it.
    """
    score = {} if segment.confidence is None else {"score": round(segment.confidence, 6)}
    return {
        "image_id": found.number,
        "category_id": segment.kind.number,
        "segmentation": pack(segment, *found.size),
        "area": segment.area,
        "bbox": list(segment.box),
        "iscrowd": 0,
        **score,
    }


def pack(segment: Segment, width: int, height: int) -> dict[str, Any]:
    """Return the runs of a segment as pycocotools packs them, as text."""
    masks = need("pycocotools.mask", "COCO's JSON", "export")
    plain = {"size": [height, width], "counts": list(segment.counts)}
    packed = masks.frPyObjects(plain, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode()}


def write_json(
    file: BinaryIO,
    head: dict[str, Any],
    images: Iterable[dict[str, Any]],
    annotations: Iterable[dict[str, Any]],
) -> None:
    """Write COCO's JSON, of which only the head is held in memory."""
    file.write(json.dumps(head)[:-1].encode())
    for name, entries in (("images", images), ("annotations", annotations)):
        file.write(f',\n"{name}": ['.encode())
        before = "\n"
        for entry in entries:
            file.write(f"{before}{json.dumps(entry)}".encode())
            before = ",\n"
        file.write(b"]")
    file.write(b"}\n")


def _images(parts: Iterable[Part]) -> Iterator[dict[str, Any]]:
    return (part.kept["image"] for part in parts)


def _annotations(parts: Iterable[Part]) -> Iterator[dict[str, Any]]:
    entries = chain.from_iterable(part.kept["annotations"] for part in parts)
    return ({"id": number, **entry} for number, entry in enumerate(entries, start=1))
