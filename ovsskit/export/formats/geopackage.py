"""Write the regions of classes as polygons in a GeoPackage, where the images lie."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from ovsskit._lazy import numpy
from ovsskit.datasets.extra import need
from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found
from ovsskit.export.georeference import read_georeference
from ovsskit.export.regions import find_regions

FILE, WHY = "regions.gpkg", "GeoPackage"
FIELDS: dict[str, Any] = {
    "image": object,
    "class": "int32",
    "class_name": object,
    "area": float,
    "confidence": float,
}
"""The fields of a region and their kinds; confidence is NULL where none was saved."""
MOST_REGIONS = 5000
"""Regions that are held in memory and written together."""

Row = tuple[str, str, int, str, float, float]
"""The polygon (WKB in hexadecimal), and the fields of a region."""


class Geopackage(Format):
    """Regions as polygons in a GeoPackage, where georeferenced images lie (QGIS, GeoPandas)."""

    reads_images = by_strips = simplifies = True

    def check(self) -> None:
        """Check that the packages are there that make and write polygons."""
        for module in ("rasterio.features", "shapely", "pyogrio.raw"):
            need(module, WHY, "geo")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Return outlines, numbers, areas in square metres and mean confidences of regions."""
        place = read_georeference(found)
        regions = find_regions(found, place, self.simplify, WHY)
        shapes = need("shapely", WHY, "geo").to_wkb(regions.shapes, hex=True)
        columns = [shapes, regions.numbers, regions.areas.round(3)]
        if regions.confidences is not None:
            columns.append(regions.confidences.round(6))
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return {"crs": place.crs.to_wkt(), "regions": [list(row) for row in rows]}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the one file, with a layer for each coordinate system that images have."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            layers = _Layers(path)
            for part in parts:
                for shape, number, area, *sure in part.kept["regions"]:
                    name = self.classes.by_number[number].name
                    row = shape, part.image, number, name, area, sure[0] if sure else math.nan
                    layers.add(part.kept["crs"], row)
            layers.close()
            if path.exists():
                put(FILE, lambda file: _copy(path, file))


class _Layers:
    """Write regions into the layers of a file, many at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.names = path, dict[str, str]()
        self.waiting: dict[str, list[Row]] = defaultdict(list)

    def add(self, crs: str, row: Row) -> None:
        """Take a region."""
        self.waiting[crs].append(row)
        if len(self.waiting[crs]) == MOST_REGIONS:
            self._write(crs)

    def close(self) -> None:
        """Write what waits."""
        for crs in self.waiting:
            self._write(crs)

    def _write(self, crs: str) -> None:
        rows = self.waiting[crs]
        if not rows:
            return
        shapes, *columns = zip(*rows, strict=True)
        known = crs in self.names
        layer = self.names.setdefault(crs, f"regions {len(self.names) + 1}")
        need("pyogrio.raw", WHY, "geo").write(
            self.path,
            geometry=numpy.array([bytes.fromhex(one) for one in shapes], object),
            field_data=[
                numpy.array(column, kind)
                for column, kind in zip(columns, FIELDS.values(), strict=True)
            ],
            fields=numpy.array([*FIELDS], object),
            geometry_type="Polygon",
            crs=crs,
            layer=layer,
            driver="GPKG",
            append=known,
        )
        rows.clear()


def _copy(path: Path, file: BinaryIO) -> None:
    with path.open("rb") as whole:
        shutil.copyfileobj(whole, file)
