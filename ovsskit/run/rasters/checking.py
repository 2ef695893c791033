"""See, before anything is written, that the rasters among the images can be run as asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ovsskit.datasets.extra import need
from ovsskit.engine.rendering import Reading
from ovsskit.errors import BadImage, BadValue, Place
from ovsskit.run.rasters.finding import find_rasters
from ovsskit.run.rasters.source import reading


def choose_rasters(
    images: Sequence[Path],
    asked: Reading,
    *,
    scores: bool = False,
    truth: bool = False,
) -> list[Path]:
    """Return which of the images are rasters.

    Raises:
        MissingExtra: there are some, and rasterio is not installed.
        BadValue: nothing says which of their numbers are black and white, or something is asked for
            that is not made of rasters.
    """
    rasters = find_rasters(images, asked.max_pixels)
    if not rasters:
        return []
    need("rasterio", f"`{rasters[0]}` is a raster, and", "geo")
    there = f"One is {rasters[0]}."
    if scores:
        fix = "Leave it out; --save-confidence keeps the winning scores."
        where = Place("--save-scores")
        raise BadValue("The scores of rasters are not saved.", there=there, fix=fix, where=where)
    if truth:
        what = "Rasters are not compared with true masks."
        raise BadValue(what, there=there, fix="Leave it out.", where=Place("--truth"))
    for path in rasters:
        try:
            with reading(path, asked.rendering):
                pass
        except BadImage:
            continue  # it fails alone, and the record says why
    return rasters
