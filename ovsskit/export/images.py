"""Bring the images of a run beside what is exported of them: as copies, or as links."""

from __future__ import annotations

import shutil
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import PIL.Image

from ovsskit.engine.formats import FORMATS, HEIF, has_heif, is_drawn_as_stored
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import Reading, Rendering
from ovsskit.errors import BadFile, BadImage, Place
from ovsskit.files.inputs import SUFFIXES
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.files.own.written import Written
from ovsskit.files.remote import RemotePath, image_path
from ovsskit.files.videos import is_frame
from ovsskit.run.output.record import ImageRecord, stamp_of

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
    drawn: bool


def bring_image(
    folder: OwnFolder, record: ImageRecord, rendering: Rendering | None, where: str, *, link: bool
) -> Brought:
    """Copy an image into a folder of the export, or link it.

    Masks are of upright images in the colours that the run saw. So an image that its EXIF tag
    turns, a frame of a video, and one whose numbers are no colours are written as PNG, whether
    copies or links are asked for; without a `rendering`, all are brought as they are stored.

    Raises:
        BadImage: it is missing, or cannot be read.
        BadFile: it has changed since the run.
        CannotWrite: the disk is full, or the system makes no links.
    """
    source = image_path(record.source)
    see_unchanged(record)
    if rendering is not None and not is_as_stored(record, rendering):
        name = f"{where}/{record.name}.png"
        written = folder.write(name, partial(draw_image, record, rendering))
        return Brought(name, {name: written}, "", True)
    known = source.suffix.lower() in SUFFIXES
    name = f"{where}/{record.name}{source.suffix.lower() if known else _ending(source)}"
    if link and isinstance(source, RemotePath):
        what = "Remote images cannot be linked."
        raise BadImage(what, fix="Give --copy-images.", where=Place(record.source))
    if link:
        folder.link(name, source)
        return Brought(name, {}, record.source, False)
    with source.open("rb") as file:
        written = folder.write(name, partial(shutil.copyfileobj, file))
    return Brought(name, {name: written}, "", False)


def is_as_stored(record: ImageRecord, rendering: Rendering) -> bool:
    """Tell whether the file of an image is what the run saw, for programs that show it.

    Raises:
        BadImage: it cannot be read.
    """
    source = image_path(record.source)
    try:
        return not is_frame(source) and is_drawn_as_stored(source, rendering)
    except (OSError, ValueError, SyntaxError) as error:
        what = f"The image cannot be read: {error}."
        raise BadImage(what, where=Place(record.source)) from error


def draw_image(record: ImageRecord, rendering: Rendering, file: BinaryIO | BytesIO) -> None:
    """Write an image as PNG, upright and in the colours that the run saw.

    Raises:
        BadImage: it cannot be read.
    """
    width, height = record.size
    image = read_image(image_path(record.source), Reading(width * height, rendering))
    PIL.Image.fromarray(image.pixels.numpy()).save(file, "PNG")


def _ending(source: Path) -> str:
    formats = (*FORMATS, HEIF) if has_heif() else FORMATS
    try:
        with source.open("rb") as file, PIL.Image.open(file, formats=formats) as image:
            return ENDINGS.get(image.format or "", "")
    except PIL.UnidentifiedImageError:  # a TIFF of many bands or numbers, which Pillow cannot read
        return ENDINGS["TIFF"]


def see_unchanged(record: ImageRecord) -> None:
    """Check that an image is the one that the run saw, by its size in bytes and time of change.

    Raises:
        BadImage: it is missing.
        BadFile: it has changed.
    """
    if (stamp := stamp_of(image_path(record.source))) == record.stamp:
        return
    if stamp == (0, 0):
        raise BadImage("The image no longer exists.", where=Place(record.source))
    what = "The image has changed since the run."
    raise BadFile(what, fix="Run again.", where=Place(record.source))
