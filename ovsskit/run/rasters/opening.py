"""Open rasters with GDAL: formats that name no other files than their own."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ovsskit.datasets.extra import need
from ovsskit.errors import BadImage, Place
from ovsskit.run.rasters.mosaic import is_mosaic, sources_of

DRIVERS = [
    "GTiff",
    "JP2OpenJPEG",
    "HFA",
    "ENVI",
    "EHdr",
    "ERS",
    "NITF",
    "PCIDSK",
    "RRASTER",
    "SAGA",
    "AAIGrid",
    "SRTMHGT",
    "DTED",
    "USGSDEM",
    "GPKG",
    "MBTiles",
    "netCDF",
    "GRIB",
    "PNG",
    "JPEG",
    "WEBP",
    "BMP",
]
"""GDAL's drivers that are used. Left out are those of files that only point to other files or to
the network, such as WMS, and of vector data. A mosaic (VRT) is opened if they read its parts."""
CACHE = "256"
"""Megabytes of blocks that GDAL keeps: the rows that a row of windows shares."""
WHY = "A raster"


@cache
def use_rasterio(why: str = WHY) -> Any:
    """Return the package, GDAL's memory bounded unless the person has bounded it.

    Raises:
        MissingExtra: it is not installed.
    """
    rasterio = need("rasterio", why, "geo")
    os.environ.setdefault("GDAL_CACHEMAX", CACHE)  # it looks when it first reads a block
    return rasterio


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a raster to read it, as a dataset of rasterio.

    Raises:
        BadImage: GDAL cannot read it, or it holds several.
        MissingExtra: rasterio is not installed.
    """
    rasterio = use_rasterio()
    place, drivers = Place(str(path)), DRIVERS
    if is_mosaic(path):
        drivers = ["VRT"]
        for source in sources_of(path):
            with opened(source):
                pass
    try:
        with quiet(rasterio):
            dataset = rasterio.DatasetReader(str(path), driver=drivers)
    except (rasterio.errors.RasterioError, OSError) as error:
        fix = "`gdal_translate` converts whatever GDAL can read to a GeoTIFF."
        what = f"The raster cannot be read: {error}."
        raise BadImage(what, fix=fix, where=place) from error
    # The dataset's own context would end GDAL's environment of another that is still open.
    with closing(dataset):
        if not dataset.count:
            what = "The file is not a single raster, but contains several."
            fix = "Convert the one that you mean to a GeoTIFF with gdal_translate."
            raise BadImage(what, fix=fix, where=place)
        yield dataset


@contextmanager
def quiet(rasterio: Any) -> Iterator[None]:
    """Let GDAL work, and say nothing of rasters without a place."""
    with warnings.catch_warnings(), rasterio.Env():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield
