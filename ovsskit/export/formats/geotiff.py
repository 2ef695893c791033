"""Write masks as GeoTIFF, where the images lie."""

from __future__ import annotations

from typing import Any

from ovsskit.datasets.extra import need
from ovsskit.export.format import Format, Put
from ovsskit.export.found import Found
from ovsskit.export.georeference import read_georeference
from ovsskit.run.rasters.raster_file import write_mask_geotiff


class Geotiff(Format):
    """Masks as GeoTIFF, in the coordinates of georeferenced images (QGIS, GDAL, rasterio)."""

    reads_images = True
    by_strips = True
    images_as_stored = True

    def check(self) -> None:
        """Check that the package is there that reads and writes GeoTIFF."""
        need("rasterio", "GeoTIFF", "geo")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write the mask of an image, with the colours and the names of its classes.

        The names are tags: `CLASS_3=grass`.
        """
        place = read_georeference(found)
        width, height = found.size
        strips = (ids for ids, _ in found.strips())
        put(
            f"masks/{found.name}.tif",
            lambda file: write_mask_geotiff(
                file, (height, width), place, strips, self.classes.vocabulary
            ),
        )
        return {}
