"""Write the layout of Pascal VOC 2012."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found
from ovsskit.export.places import check_places, place_mask

ROOT = "VOCdevkit/VOC2012"


class PascalVoc(Format):
    """The layout of Pascal VOC 2012, masks with a palette (torchvision, mmsegmentation)."""

    image_folder = f"{ROOT}/JPEGImages"
    wants_images = True

    def check(self) -> None:
        """Check that a palette can number the classes."""
        check_places(self.classes, "Pascal VOC")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write the mask of an image."""
        mask = place_mask(found)
        put(f"{ROOT}/SegmentationClass/{found.name}.png", partial(mask.save, format="PNG"))
        return {}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the list of images, as the split `val`, and that of the classes."""
        lines = (f"{part.name}\n".encode() for part in parts)
        put(f"{ROOT}/ImageSets/Segmentation/val.txt", lambda file: file.writelines(lines))
        names = "".join(f"{one.name}\n" for one in self.classes.all)
        put(f"{ROOT}/labels.txt", lambda file: file.write(names.encode()))
