"""Masks whose numbers are in a row, for formats that number classes by their place."""

from __future__ import annotations

import PIL.Image

from ovsskit.errors import BadValue, Place
from ovsskit.export.classes import ExportClasses
from ovsskit.export.found import Found

MOST = 254
"""The most classes beside the background: 255 stands for pixels that count nowhere."""


def check_places(classes: ExportClasses, title: str) -> None:
    """Check that a mask of 8 bits can number the classes.

    Raises:
        BadValue: there are too many.
    """
    if len(classes.classes) > MOST:
        what = f"The masks of {title} hold {MOST} classes, but {len(classes.classes)} are exported."
        fix = "Choose some with --classes, or another format, such as coco."
        raise BadValue(what, fix=fix, where=Place("--to"))


def place_mask(found: Found) -> PIL.Image.Image:
    """Return a mask of 8 bits: 0 is the background, others count the classes in their order.

    Its palette has the colours of the classes.
    """
    image = PIL.Image.fromarray(found.classes.places(found.ids).astype("uint8"))
    colours = [channel for one in found.classes.all for channel in one.colour]
    image.putpalette(colours)
    return image
