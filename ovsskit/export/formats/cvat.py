"""Write an archive that CVAT imports as "Segmentation mask 1.1"."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import PIL.Image

from ovsskit._lazy import numpy
from ovsskit.errors import BadValue, Place
from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found

FILE = "cvat.zip"


class Cvat(Format):
    """An archive that CVAT imports as "Segmentation mask 1.1", masks in colours."""

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Return the mask of an image, in the colours of its classes, as PNG."""
        colours = numpy.array([one.colour for one in self.classes.all], "uint8")
        image = PIL.Image.fromarray(colours[self.classes.places(found.ids)])
        packed = io.BytesIO()
        image.save(packed, "PNG")
        return {"mask": base64.b64encode(packed.getvalue()).decode()}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the archive.

        Raises:
            BadValue: CVAT could not tell two images apart.
        """
        put(FILE, lambda file: self._zip(file, parts))

    def _zip(self, file: BinaryIO, parts: Iterable[Part]) -> None:
        names: dict[str, str] = {}
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(_entry("labelmap.txt"), self._labels())
            for part in parts:
                name = self._name(part)
                if name in names:
                    what = f"CVAT cannot tell `{names[name]}` and `{part.source}` apart."
                    fix = "Give --copy-images: copies have different names."
                    raise BadValue(what, fix=fix, where=Place("--to"))
                names[name] = part.source
                mask = base64.b64decode(part.kept["mask"])
                archive.writestr(_entry(f"SegmentationClass/{name}.png"), mask)
            lines = "".join(f"{name}\n" for name in names)
            archive.writestr(_entry("ImageSets/Segmentation/default.txt"), lines)

    def _name(self, part: Part) -> str:
        """Return the path of an image without its ending, by which CVAT knows it in a task."""
        path = PurePosixPath(part.image)
        if path.is_relative_to(self.image_folder):
            path = path.relative_to(self.image_folder)
        return str(path.with_suffix(""))

    def _labels(self) -> str:
        lines = ["# label:color_rgb:parts:actions"]
        for one in self.classes.all:
            red, green, blue = one.colour
            lines.append(f"{one.name.replace(':', '_')}:{red},{green},{blue}::")
        return "\n".join(lines) + "\n"


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry without a time, so that the same masks give the same archive."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    return entry
