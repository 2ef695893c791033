"""Write COCO's panoptic JSON, with a PNG of segments for each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import PIL.Image

from ovsskit._lazy import numpy
from ovsskit.export.format import Format, Part, Put
from ovsskit.export.formats.coco import write_json
from ovsskit.export.found import Found

FILE, FOLDER = "panoptic.json", "panoptic"


class CocoPanoptic(Format):
    """COCO's panoptic JSON and PNG, every class a segment of stuff (panopticapi, transformers)."""

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write the segments of an image: the id of one is that of its class, 0 is no segment.

        The id stands in red + 256 green + 65536 blue (COCO's panoptic format).
        """
        name = f"{found.name}.png"
        numbers = numpy.where(found.ids == self.classes.background.number, 0, found.ids)
        channels = [numbers & 255, numbers >> 8, numpy.zeros_like(numbers)]
        image = PIL.Image.fromarray(numpy.stack(channels, -1).astype("uint8"))
        put(f"{FOLDER}/{name}", partial(image.save, format="PNG"))
        width, height = found.size
        entry = {"id": found.number, "file_name": found.image, "width": width, "height": height}
        segments = [
            {
                "id": one.kind.number,
                "category_id": one.kind.number,
                "area": one.area,
                "bbox": list(one.box),
                "iscrowd": 0,
            }
            for one in found.segments()
        ]
        annotation = {"image_id": found.number, "file_name": name, "segments_info": segments}
        return {"image": entry, "annotation": annotation}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the JSON."""
        categories = [
            {
                "id": one.number,
                "name": one.name,
                "supercategory": "stuff",
                "isthing": 0,
                "color": list(one.colour),
            }
            for one in self.classes.classes
        ]
        head = {"info": {"description": self.title}, "licenses": [], "categories": categories}

        def entries(kind: str) -> Iterator[dict[str, Any]]:
            return (part.kept[kind] for part in parts)

        put(FILE, lambda file: write_json(file, head, entries("image"), entries("annotation")))
