"""Write the regions of classes as polygons in GeoJSON, a file for each image."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from ovsskit._lazy import numpy
from ovsskit.datasets.extra import need
from ovsskit.export.format import Format, Put
from ovsskit.export.found import Found
from ovsskit.export.georeference import read_georeference
from ovsskit.export.regions import Regions, find_regions, reproject

WHY, DEGREES = "GeoJSON", "EPSG:4326"
DIGITS = 8
"""Digits of a degree after the point: a millimetre."""


class Geojson(Format):
    """Regions as polygons in GeoJSON, in degrees (web maps, GitHub, QGIS, GeoPandas)."""

    reads_images = by_strips = simplifies = True

    def check(self) -> None:
        """Check that the packages are there that make polygons."""
        for module in ("rasterio.features", "shapely"):
            need(module, WHY, "geo")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write the regions of an image (RFC 7946): longitude and latitude, outer rings leftwards.

        Each has the number and the name of its class, its area in square metres and, where they
        were saved, the mean of its confidences.
        """
        place = read_georeference(found)
        regions = find_regions(found, place, self.simplify, WHY)
        put(f"regions/{found.name}.geojson", lambda file: self._write(file, regions, place.crs))
        return {}

    def _write(self, file: BinaryIO, regions: Regions, crs: Any) -> None:
        shapely = need("shapely", WHY, "geo")
        shapes = reproject(regions.shapes, crs, DEGREES, WHY)
        file.write(b'{"type": "FeatureCollection", "features": [')
        for index, shape in enumerate(shapely.orient_polygons(shapes, exterior_cw=False)):
            number = int(regions.numbers[index])
            facts = {
                "class": number,
                "class_name": self.classes.by_number[number].name,
                "area": round(float(regions.areas[index]), 3),
            }
            if regions.confidences is not None:
                facts["confidence"] = round(float(regions.confidences[index]), 6)
            rings = [shape.exterior, *shape.interiors]
            points = [numpy.round(one.coords, DIGITS).tolist() for one in rings]
            outline = {"type": "Polygon", "coordinates": points}
            feature = {"type": "Feature", "properties": facts, "geometry": outline}
            file.write(f"{',' if index else ''}\n{json.dumps(feature)}".encode())
        file.write(b"\n]}\n")
