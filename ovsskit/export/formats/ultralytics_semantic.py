"""Write the layout in which ultralytics reads masks for semantic segmentation."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import PIL.Image

from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found
from ovsskit.export.places import check_places
from ovsskit.export.yaml import DATA, data_yaml


class UltralyticsSemantic(Format):
    """Masks as ultralytics trains semantic segmentation on (`masks_dir` in `data.yaml`)."""

    image_folder = "images/train"
    wants_images = True

    def check(self) -> None:
        """Check that masks of 8 bits can number the classes."""
        check_places(self.classes, "ultralytics")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write the mask of an image, without a palette: readers take its values as they are."""
        mask = PIL.Image.fromarray(self.classes.places(found.ids).astype("uint8"))
        put(f"masks/train/{found.name}.png", partial(mask.save, format="PNG"))
        return {}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write `data.yaml`; the background is the class 0."""
        paths = {"train": "images/train", "val": "images/train", "masks_dir": "masks"}
        text = data_yaml(paths, [one.name for one in self.classes.all])
        put(DATA, lambda file: file.write(text.encode()))
