"""Read images as red, green and blue from 0 to 1, whatever their format and mode.

An image is turned upright by its EXIF orientation. Grey and palette images become colour; inks
follow the colour profile in the file, other profiles are not applied; what is see-through is put on
white; of several frames or pages the first is taken. Numbers that are no bytes become colours by a
rule (`Rendering`). What is not plain stands in the image's notes.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TypeAlias, TypeGuard

import PIL.Image

from ovsskit._lazy import numpy, torch
from ovsskit.engine.arrays import from_array
from ovsskit.engine.formats import FORMATS as FORMATS
from ovsskit.engine.formats import Decoded, decode, draw
from ovsskit.engine.rendering import AS_USUAL, PLAIN, Reading
from ovsskit.engine.values import Image
from ovsskit.errors import BadImage, Place
from ovsskit.files.bringing import fetch, is_address
from ovsskit.files.remote import RemotePath, as_local, image_path
from ovsskit.files.sizes import see_size
from ovsskit.files.videos import is_frame, read_frame

ImageSource: TypeAlias = "str | Path | PIL.Image.Image | numpy.ndarray | torch.Tensor"
"""A path, an address, a PIL image, or an array or tensor: `h w` or `h w 3`, a tensor also `3 h w`;
of bytes, 16-bit numbers, or floating point from 0 to 1.
"""


def is_image(source: ImageSource | Iterable[ImageSource]) -> TypeGuard[ImageSource]:
    """Tell one image from several.

    Raises:
        BadImage: it is neither.
    """
    if isinstance(source, str | Path | PIL.Image.Image) or hasattr(source, "ndim"):
        return True
    if isinstance(source, Iterable):
        return False
    what = f"An image is given as {type(source).__name__}."
    raise BadImage(what, fix="Give a path, a PIL image, an array, a tensor, or a list of these.")


def read_image(source: ImageSource, reading: Reading = AS_USUAL) -> Image:
    """Read an image from a path, an address (`https://...`), a PIL image, an array or a tensor.

    Its name is the file's stem.

    Raises:
        NoImages: an address cannot be fetched.
        BadImage: it is missing, empty, cut off, no image of a known format, has more pixels than
            are read, or nothing says how its numbers become colours; or an array has another
            shape or other numbers than those that are taken.
    """
    if isinstance(source, str | Path):
        path = _path_of(source)
        if isinstance(path, RemotePath):
            return read_encoded(path.read_bytes(), str(path), path.stem, reading)
        if is_frame(path):
            frame = PIL.Image.fromarray(read_frame(path, reading.max_pixels))
            return _to_image(draw(frame, reading.rendering), path.name)
        _see_file(path)
        found = decode(path, Place(str(path)), path.name, reading)
        return _to_image(found, path.stem)
    if not isinstance(source, PIL.Image.Image):
        return from_array(source, reading)
    see_size(*source.size, reading.max_pixels)
    return _to_image(draw(source, reading.rendering), "image")


def _path_of(source: str | Path) -> Path:
    if isinstance(source, Path):
        return source
    return fetch(source) if is_address(source) else image_path(as_local(source))


def read_encoded(content: bytes, where: str, name: str = "", reading: Reading = AS_USUAL) -> Image:
    """Read an image from the bytes of a file; `where` says where they come from, for messages.

    Raises:
        BadImage: they are empty, cut off, no image of a known format, have more pixels than are
            read, or nothing says how their numbers become colours.
    """
    place = Place(where)
    if not content:
        raise BadImage("The image is empty.", where=place)
    return _to_image(decode(BytesIO(content), place, where, reading), name)


def allow_pixels(max_pixels: int) -> None:
    """Let Pillow open images of this many pixels in this process; its limit is 179 million."""
    if PIL.Image.MAX_IMAGE_PIXELS is not None:
        PIL.Image.MAX_IMAGE_PIXELS = max(PIL.Image.MAX_IMAGE_PIXELS, max_pixels)


def to_colour(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an upright image of mode RGB, whatever the mode of this one.

    Raises:
        BadImage: nothing says how its numbers become colours.
    """
    return draw(image, PLAIN).image


def _see_file(path: Path) -> None:
    where = Place(str(path))
    if path.is_dir():
        raise BadImage("This is a folder, not an image.", where=where)
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise BadImage(
            f"The file cannot be read: {error.strerror or error}.", where=where
        ) from error
    if empty:
        raise BadImage("The file is empty.", where=where)


def _to_image(decoded: Decoded, name: str) -> Image:
    pixels = torch.from_numpy(numpy.array(decoded.image))
    data = pixels.permute(2, 0, 1).float().div(255).contiguous()
    return Image(data, name, notes=decoded.notes)
