"""Write what supervision's `Detections` hold, a file for each image."""

from __future__ import annotations

import json
from typing import Any

from ovsskit.datasets.extra import need
from ovsskit.export.format import Format, Put
from ovsskit.export.formats.coco import pack
from ovsskit.export.found import Found


class Supervision(Format):
    """Detections of supervision, one for each class of an image, masks in run lengths (JSON)."""

    def check(self) -> None:
        """Check that the package is there that packs runs."""
        need("pycocotools.mask", "Run-length masks", "export")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write boxes, masks, classes and confidences of an image.

        Corners of boxes belong to the box, as in supervision; `confidence` is null where the run
        saved none.
        """
        segments = list(found.segments())
        boxes = [one.box for one in segments]
        sure = [one.confidence for one in segments]
        plain = {
            "image": found.image,
            "image_shape": [found.size[1], found.size[0]],
            "xyxy": [[x, y, x + width - 1, y + height - 1] for x, y, width, height in boxes],
            "masks": [pack(one, *found.size) for one in segments],
            "class_id": [one.kind.number for one in segments],
            "class_name": [one.kind.name for one in segments],
            "confidence": None if found.confidence is None else sure,
        }
        text = json.dumps(plain)
        put(f"detections/{found.name}.json", lambda file: file.write(text.encode()))
        return {}
