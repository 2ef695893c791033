"""Write the regions of classes as polygons in a GeoPackage, where the images lie."""

from __future__ import annotations

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

FILE, WHY = "regions.gpkg", "GeoPackage"
FIELDS = ("image", "class", "class_name")
MOST_REGIONS = 5000
"""Regions that are held in memory and written together."""

Row = tuple[str, str, int, str]
"""The polygon (WKB in hexadecimal), and the fields of a region."""


class Geopackage(Format):
    """Regions as polygons in a GeoPackage, where georeferenced images lie (QGIS, GeoPandas)."""

    reads_images = True
    images_as_stored = True

    def check(self) -> None:
        """Check that the packages are there that make and write polygons."""
        for module in ("rasterio.features", "shapely.geometry", "pyogrio.raw"):
            need(module, WHY, "geo")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Return the outlines of an image's regions along the edges of pixels, holes kept.

        Pixels of a region touch at their sides.
        """
        features = need("rasterio.features", WHY, "geo")
        geometry = need("shapely.geometry", WHY, "geo")
        where, ids = read_georeference(found), found.ids.astype("int32")
        inside = ids != self.classes.background.number
        shapes = features.shapes(ids, mask=inside, connectivity=4, transform=where.transform)
        regions = [[geometry.shape(one).wkb_hex, int(number)] for one, number in shapes]
        return {"crs": where.crs.to_wkt(), "regions": regions}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the one file, with a layer for each coordinate system that images have."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            layers = _Layers(path)
            for part in parts:
                for shape, number in part.kept["regions"]:
                    name = self.classes.by_number[number].name
                    layers.add(part.kept["crs"], (shape, part.image, number, name))
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
                numpy.array(columns[0], object),
                numpy.array(columns[1], "int32"),
                numpy.array(columns[2], object),
            ],
            fields=numpy.array(FIELDS, object),
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
