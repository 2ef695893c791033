"""Hold the images on the page: those named at the start, and the last that were dropped."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import PIL.Image

from ovsskit.engine.images import read_encoded, read_image
from ovsskit.engine.rendering import Reading
from ovsskit.engine.values import Image
from ovsskit.errors import BadValue, Place

MOST_DROPPED = 20
"""How many images that a person dropped are kept; the oldest goes first."""
MOST_READ = 8
THUMB_SIDE = 240


@dataclass
class Pictures:
    """Know images by their names on the page; large ones are shrunk to `side` pixels."""

    paths: Sequence[Path]
    side: int
    reading: Reading
    _dropped: OrderedDict[str, Image] = field(default_factory=OrderedDict)
    _read: OrderedDict[str, Image] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def names(self) -> list[str]:
        """Return the names of all images, in order."""
        return [*map(str, range(len(self.paths))), *self._dropped]

    def title(self, name: str) -> str:
        """Return how a person calls an image."""
        return self.paths[int(name)].name if name.isdigit() else self._dropped[name].name

    def add(self, content: bytes, title: str) -> str:
        """Take an image that a person dropped, and return its name.

        Raises:
            BadImage: it is not an image, or too large.
        """
        image = self._shrunk(read_encoded(content, title, title, self.reading))
        with self._lock:
            name = f"dropped-{sum(1 for _ in self._dropped) + 1}"
            while name in self._dropped:
                name += "x"
            self._dropped[name] = image
            while len(self._dropped) > MOST_DROPPED:
                self._dropped.popitem(last=False)
        return name

    def read(self, name: str) -> Image:
        """Return an image by its name on the page.

        Raises:
            BadValue: there is none of this name.
            BadImage: its file cannot be read.
        """
        with self._lock:
            if name in self._dropped:
                return self._dropped[name]
            if not name.isdigit() or int(name) >= len(self.paths):
                raise BadValue("There is no such image on the page.", where=Place(name))
            if name not in self._read:
                path = self.paths[int(name)]
                self._read[name] = self._shrunk(read_image(path, self.reading))
                if len(self._read) > MOST_READ:
                    self._read.popitem(last=False)
            return self._read[name]

    def jpeg(self, name: str, *, thumb: bool = False) -> bytes:
        """Return an image as JPEG."""
        picture = PIL.Image.fromarray(self.read(name).pixels.numpy())
        if thumb:
            picture.thumbnail((THUMB_SIDE, THUMB_SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=88)
        return file.getvalue()

    def _shrunk(self, image: Image) -> Image:
        height, width = image.size
        if max(height, width) <= self.side:
            return image
        picture = PIL.Image.fromarray(image.pixels.numpy())
        picture.thumbnail((self.side, self.side), PIL.Image.Resampling.LANCZOS)
        return Image(read_image(picture).data, image.name)
