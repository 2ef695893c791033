"""Write a raster of one band as GeoTIFF, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from ovsskit._lazy import Shaped, numpy
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadFile, BadImage, Place, reason_of
from ovsskit.run.output.masks import EIGHT_BITS
from ovsskit.run.rasters.georeference import Georeference
from ovsskit.run.rasters.opening import opened, quiet, use_rasterio

BLOCK = 512
"""Side of the blocks that are compressed alone, in pixels; rows come in as many at once."""
SIXTEEN_BITS = 65535


def void_of(vocabulary: Vocabulary) -> int:
    """Return the number that stands for no data in a mask: the largest that no class has."""
    numbers = {*vocabulary.ids}
    fits = len(numbers) <= EIGHT_BITS and max(numbers) <= EIGHT_BITS
    most = EIGHT_BITS if fits else SIXTEEN_BITS
    return next(number for number in range(most, 0, -1) if number not in numbers)


def cut_strips(data: Shaped[numpy.ndarray, "h w"]) -> Iterator[Shaped[numpy.ndarray, "rows w"]]:
    """Yield what is in memory `BLOCK` rows at a time."""
    return (data[top : top + BLOCK] for top in range(0, len(data), BLOCK))


def read_strips(path: Path, size: tuple[int, int]) -> Iterator[Shaped[numpy.ndarray, "rows w"]]:
    """Yield a GeoTIFF of one band, of this width and height, `BLOCK` rows at a time.

    Raises:
        BadFile: it cannot be read, or has another size.
    """
    try:
        with opened(path) as image:
            if size != (image.width, image.height):
                raise BadImage(f"It is {image.width} x {image.height} pixels.")
            for top in range(0, image.height, BLOCK):
                rows = (top, min(top + BLOCK, image.height))
                yield image.read(1, window=(rows, (0, image.width)))
    except (BadImage, OSError) as error:
        what = f"The raster of the run cannot be read: {reason_of(error)}"
        raise BadFile(what, fix="Run again.", where=Place(str(path))) from error


def write_geotiff(
    file: BinaryIO,
    size: tuple[int, int],
    georeference: Georeference,
    strips: Iterable[Shaped[numpy.ndarray, "rows w"]],
    kind: str,
    *,
    nodata: int | float | None = None,
    colours: Mapping[int, tuple[int, int, int]] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write strips of `BLOCK` rows, from the top on, into a new file that has a name.

    Raises:
        OSError: the disk is full, or the file cannot be written.
        MissingExtra: rasterio is not installed.
    """
    rasterio = use_rasterio()
    height, width = size
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": kind,
        "nodata": nodata,
        "crs": georeference.crs,
        "transform": georeference.transform,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }
    try:
        with quiet(rasterio):
            image = rasterio.open(file.name, "w", **profile)
        with closing(image):
            if colours:
                image.write_colormap(1, colours)
            image.update_tags(1, **(tags or {}))
            georeference.write(image)
            top = 0
            for strip in strips:
                rows = (top, top + len(strip))
                image.write(strip.astype(kind, copy=False), 1, window=(rows, (0, width)))
                top += len(strip)
    except rasterio.errors.RasterioError as error:
        raise OSError(f"GDAL cannot write it: {error}") from error


def write_mask_geotiff(
    file: BinaryIO,
    size: tuple[int, int],
    georeference: Georeference,
    strips: Iterable[Shaped[numpy.ndarray, "rows w"]],
    vocabulary: Vocabulary,
    *,
    nodata: int | None = None,
) -> None:
    """Write a mask with the colours of the classes, where numbers have 8 bits, and their names.

    The names are tags: `CLASS_3=grass`.
    """
    kind = "uint8" if max(*vocabulary.ids, nodata or 0) <= EIGHT_BITS else "uint16"
    colours = dict(zip(vocabulary.ids, vocabulary.colours, strict=True))
    labels = zip(vocabulary.ids, vocabulary.labels, strict=True)
    write_geotiff(
        file,
        size,
        georeference,
        strips,
        kind,
        nodata=nodata,
        colours=colours if kind == "uint8" else None,
        tags={f"CLASS_{number}": name for number, name in labels},
    )
