"""Write masks as GeoTIFF, where the images lie."""

from __future__ import annotations

from typing import Any

from ovsskit.datasets.extra import need
from ovsskit.export.format import Format, Put
from ovsskit.export.found import Found
from ovsskit.export.georeference import read_georeference

EIGHT_BITS = 255


class Geotiff(Format):
    """Masks as GeoTIFF, in the coordinates of georeferenced images (QGIS, GDAL, rasterio)."""

    reads_images = True
    images_as_stored = True

    def check(self) -> None:
        """Check that the package is there that reads and writes GeoTIFF."""
        need("rasterio", "GeoTIFF", "geo")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write the mask of an image, with the colours and the names of its classes.

        The names are tags: `CLASS_3=grass`.
        """
        files = need("rasterio.io", "GeoTIFF", "geo")
        where = read_georeference(found)
        most = max(one.number for one in self.classes.all)
        kind = "uint8" if most <= EIGHT_BITS else "uint16"
        width, height = found.size
        profile = {
            "driver": "GTiff",
            "width": width,
            "height": height,
            "count": 1,
            "dtype": kind,
            "crs": where.crs,
            "transform": where.transform,
            "compress": "deflate",
        }
        with files.MemoryFile() as memory:
            with memory.open(**profile) as image:
                image.write(found.ids.astype(kind), 1)
                if kind == "uint8":
                    image.write_colormap(1, {one.number: one.colour for one in self.classes.all})
                image.update_tags(
                    1, **{f"CLASS_{one.number}": one.name for one in self.classes.all}
                )
            put(f"masks/{found.name}.tif", lambda file: file.write(memory.read()))
        return {}
