"""Where on earth a raster lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

LEAN = (3 - math.sqrt(5)) / 2
"""What is added before a place is rounded down. Corners of rasters lie on pixels, on halves or on
quarters, and errors of the last digit shall not move them to another pixel."""


@dataclass(frozen=True)
class Georeference:
    """Hold a coordinate system, what takes pixels to it, and control points, as rasterio has them.

    Each may be missing: `crs` is None, `transform` the identity, `points` (points and their
    coordinate system) None.
    """

    crs: Any = None
    transform: Any = None
    points: Any = None

    @classmethod
    def of(cls, dataset: Any) -> Georeference:
        """Return where an open raster lies."""
        points = dataset.gcps if dataset.gcps[0] else None
        return cls(dataset.crs, dataset.transform, points)

    @property
    def is_known(self) -> bool:
        """Tell whether pixels have a place."""
        return not self.transform.is_identity or self.points is not None

    @property
    def anchor(self) -> tuple[int, int]:
        """Return row and column of the first pixel, counted from the coordinate system's origin.

        Rows and columns go as those of the raster do, also where it is rotated. Rasters that share
        pixels, such as a raster and a part of it, count them alike.
        """
        a, b, x, d, e, y = self.transform[:6]
        area = a * e - b * d
        if not area:
            return 0, 0
        return math.floor((a * y - d * x) / area + LEAN), math.floor((e * x - b * y) / area + LEAN)

    def write(self, dataset: Any) -> None:
        """Give another raster the same control points; it has the rest from its making."""
        if self.points is not None:
            dataset.gcps = self.points
