"""Read where on earth an image lies."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image

from ovsskit.datasets.extra import need
from ovsskit.engine.formats import TIFF_HEADS
from ovsskit.errors import BadFile, Place
from ovsskit.export.found import Found

DRIVERS = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WEBP", "BMP": "BMP", "JPEG2000": "JP2OpenJPEG"}
"""What reads an image of each format: nothing is opened that names other files."""


class Georeference(NamedTuple):
    """Hold a coordinate system, and what takes pixels to it, as rasterio has them."""

    crs: Any
    transform: Any


def read_georeference(found: Found) -> Georeference:
    """Return where an image lies, as it says itself.

    Raises:
        BadFile: it does not say so, cannot be read, or is of another size than its mask.
    """
    rasterio = need("rasterio", "GeoTIFF and GeoPackage", "geo")
    place = Place(found.record.source)
    source = found.record.source
    try:
        driver = _driver(Path(source))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(source, driver=driver) as image:
                known = Georeference(image.crs, image.transform)
                size = image.width, image.height
    except (rasterio.errors.RasterioError, OSError, KeyError, SyntaxError) as error:
        what = f"The image cannot be read: {error}."
        raise BadFile(what, where=place) from error
    if known.crs is None or known.transform.is_identity:
        fix = "Export such images as coco or pascal_voc, which need no place."
        raise BadFile("The image does not say where on earth it lies.", fix=fix, where=place)
    if size != found.size:
        what = f"The image is {size[0]} x {size[1]} pixels, and its mask {found.size[0]} x "
        raise BadFile(f"{what}{found.size[1]}.", where=place)
    return known


def _driver(source: Path) -> str:
    """Return what reads an image; Pillow does not know every TIFF."""
    with source.open("rb") as file:
        if file.read(4) in TIFF_HEADS:
            return "GTiff"
    with PIL.Image.open(source, formats=tuple(DRIVERS)) as opened:
        return DRIVERS[opened.format or ""]
