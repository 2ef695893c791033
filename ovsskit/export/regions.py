"""The outlines of regions, where an image lies: of rasters of any size, some rows at a time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, Int, Shaped, numpy
from ovsskit.datasets.extra import need
from ovsskit.export.found import Found
from ovsskit.run.rasters.georeference import Georeference
from ovsskit.run.rasters.opening import opened
from ovsskit.run.rasters.raster_file import BLOCK, write_geotiff

EQUAL_AREA = "EPSG:6933"
"""A projection of the whole earth in which areas are true, in metres (EASE-Grid 2.0)."""


@dataclass(frozen=True)
class Regions:
    """Hold the regions of an image: pixels of one class that touch at their sides.

    `shapes` are polygons of shapely in rows and columns; `areas` are in square metres;
    `confidences` are the means of the pixels' confidences, None where none were saved.
    """

    shapes: Shaped[numpy.ndarray, " region"]
    numbers: Int[numpy.ndarray, " region"]
    areas: Float[numpy.ndarray, " region"]
    confidences: Float[numpy.ndarray, " region"] | None


def find_regions(found: Found, place: Georeference, simplify: float, why: str) -> Regions:
    """Return the regions of all classes but the background, in the image's coordinates.

    Outlines run along the edges of pixels, and holes are kept. With `simplify` they deviate by
    about so many pixels, and neighbours have the same line between them. Areas are those before.
    Source: coverage simplification by Visvalingam and Whyatt's algorithm, as GEOS has it.

    Raises:
        MissingExtra: a package is not installed.
        BadFile: the mask cannot be read.
    """
    shapely = need("shapely", why, "geo")
    shapes, numbers = _outlines(found, why)
    confidences = _mean_confidences(found, shapes, why)
    areas = _areas(shapes, place, why)
    if simplify and len(shapes):
        # Only where neighbours have the same corners do they get the same line.
        shapes = shapely.coverage_simplify(shapely.segmentize(shapes, 1.0), simplify)
    return Regions(_placed(shapes, place, why), numbers, areas, confidences)


def _outlines(
    found: Found, why: str
) -> tuple[Shaped[numpy.ndarray, " region"], Int[numpy.ndarray, " region"]]:
    """Return the outlines of regions in columns and rows of pixels, and the numbers of classes."""
    rasterio, features = need("rasterio", why, "geo"), need("rasterio.features", why, "geo")
    geometry = need("shapely.geometry", why, "geo")
    width, height = found.size
    background = found.classes.background.number
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.tif"
        strips = (ids for ids, _ in found.strips())
        with path.open("wb") as file:
            write_geotiff(file, (height, width), Georeference(), strips, "int32")
        with opened(path) as image:
            found_shapes = features.shapes(rasterio.band(image, 1), connectivity=4)
            pairs = [(shape, number) for shape, number in found_shapes if number != background]
    shapes = numpy.empty(len(pairs), object)
    shapes[:] = [geometry.shape(one) for one, _ in pairs]
    return shapes, numpy.array([int(number) for _, number in pairs], "int32")


def _mean_confidences(
    found: Found, shapes: Shaped[numpy.ndarray, " region"], why: str
) -> Float[numpy.ndarray, " region"] | None:
    if not found.run.has_confidence(found.record):
        return None
    rasterio, features = need("rasterio", why, "geo"), need("rasterio.features", why, "geo")
    bounds = need("shapely", why, "geo").bounds(shapes).reshape(-1, 4)
    sums, counts, top = numpy.zeros(len(shapes) + 1), numpy.zeros(len(shapes) + 1), 0
    for _, confidence in found.strips():
        assert confidence is not None
        crossed = numpy.flatnonzero((bounds[:, 1] < top + BLOCK) & (bounds[:, 3] > top))
        where = rasterio.Affine.translation(0, top)
        if len(crossed):
            pairs = [(shapes[index], int(index) + 1) for index in crossed]
            drawn = features.rasterize(pairs, confidence.shape, transform=where, dtype="int32")
            sums += numpy.bincount(drawn.ravel(), confidence.ravel(), len(sums))
            counts += numpy.bincount(drawn.ravel(), minlength=len(sums))
        top += len(confidence)
    means: Float[numpy.ndarray, " region"] = sums[1:] / counts[1:].clip(1)
    return means


def _areas(
    shapes: Shaped[numpy.ndarray, " region"], place: Georeference, why: str
) -> Float[numpy.ndarray, " region"]:
    """Return areas on the earth's ellipsoid, in square metres."""
    shapely = need("shapely", why, "geo")
    placed = _placed(shapes, place, why)
    areas: Float[numpy.ndarray, " region"] = shapely.area(
        reproject(placed, place.crs, EQUAL_AREA, why)
    )
    return areas


def reproject(
    shapes: Shaped[numpy.ndarray, " region"], crs: Any, other: Any, why: str
) -> Shaped[numpy.ndarray, " region"]:
    """Return shapes in another coordinate system.

    Raises:
        MissingExtra: a package is not installed.
    """
    shapely, warp = need("shapely", why, "geo"), need("rasterio.warp", why, "geo")

    def move(points: Float[numpy.ndarray, "point 2"]) -> Float[numpy.ndarray, "point 2"]:
        across, up = warp.transform(crs, other, *points.T) if len(points) else ([], [])
        return numpy.stack([across, up], 1)

    moved: Shaped[numpy.ndarray, " region"] = shapely.transform(shapes, move)
    return moved


def _placed(
    shapes: Shaped[numpy.ndarray, " region"], place: Georeference, why: str
) -> Shaped[numpy.ndarray, " region"]:
    """Return shapes in columns and rows in the coordinates of the image."""
    a, b, c, d, e, f = place.transform[:6]
    matrix, origin = numpy.array([[a, d], [b, e]]), numpy.array([c, f])
    placed: Shaped[numpy.ndarray, " region"] = need("shapely", why, "geo").transform(
        shapes, lambda points: points @ matrix + origin
    )
    return placed
