"""Bring the images of a run beside what is exported of them: as copies, or as links."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import NamedTuple

import PIL.ExifTags
import PIL.Image

from ovsskit.engine.formats import FORMATS, HEIF, has_heif
from ovsskit.engine.images import read_image
from ovsskit.errors import BadFile, BadImage, Place
from ovsskit.files.inputs import SUFFIXES
from ovsskit.files.own import OwnFolder, Written
from ovsskit.run.output.record import ImageRecord, stamp_of

ORIENTATION = PIL.ExifTags.Base.Orientation
ENDINGS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "GIF": ".gif",
}
"""The endings of images whose own is not known."""


class Brought(NamedTuple):
    """Say where an image lies in the folder, what was written, and what a link points to."""

    path: str
    files: dict[str, Written]
    link: str
    turned: bool


def bring_image(folder: OwnFolder, record: ImageRecord, where: str, *, link: bool) -> Brought:
    """Copy an image into a folder of the export, or link it.

    Masks are of upright images. So an image that its EXIF tag turns is written upright, as PNG,
    whether copies or links are asked for.

    Raises:
        BadImage: it is missing, or cannot be read.
        BadFile: it has changed since the run.
        CannotWrite: the disk is full, or the system makes no links.
    """
    source = Path(record.source)
    see_unchanged(record)
    turned, kind = _look(record)
    if turned:
        name, width, height = f"{where}/{record.name}.png", *record.size
        image = read_image(source, max_pixels=width * height)
        upright = PIL.Image.fromarray(image.pixels.numpy())
        written = folder.write(name, partial(upright.save, format="PNG"))
        return Brought(name, {name: written}, "", True)
    known = source.suffix.lower() if source.suffix.lower() in SUFFIXES else ""
    name = f"{where}/{record.name}{known or ENDINGS.get(kind, '')}"
    if link:
        folder.link(name, source)
        return Brought(name, {}, record.source, False)
    with source.open("rb") as file:
        written = folder.write(name, partial(shutil.copyfileobj, file))
    return Brought(name, {name: written}, "", False)


def _look(record: ImageRecord) -> tuple[bool, str]:
    """Tell whether an image is turned by its EXIF tag, and its format."""
    formats = (*FORMATS, HEIF) if has_heif() else FORMATS
    try:
        with PIL.Image.open(record.source, formats=formats) as image:
            return image.getexif().get(ORIENTATION, 1) != 1, image.format or ""
    except PIL.UnidentifiedImageError:  # a TIFF of many bands or numbers, which Pillow cannot read
        return False, "TIFF"
    except (OSError, ValueError, SyntaxError) as error:
        what = f"The image cannot be read: {error}."
        raise BadImage(what, where=Place(record.source)) from error


def see_unchanged(record: ImageRecord) -> None:
    """Check that an image is the one that the run saw, by its size in bytes and time of change.

    Raises:
        BadImage: it is missing.
        BadFile: it has changed.
    """
    if (stamp := stamp_of(Path(record.source))) == record.stamp:
        return
    if stamp == (0, 0):
        raise BadImage("The image is not there any more.", where=Place(record.source))
    what = "The image has changed since the run."
    raise BadFile(what, fix="Run again.", where=Place(record.source))
