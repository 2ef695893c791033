"""Rasters for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import rasterio

UTM = "EPSG:32632"
NORTH_UP = rasterio.Affine(0.5, 0.0, 500000.0, 0.0, -0.5, 5300000.0)


def write_raster(path: Path, data: numpy.ndarray, **facts: Any) -> Path:
    """Write bands x rows x columns as GeoTIFF, in UTM unless other facts are given."""
    count, height, width = data.shape
    profile = {"crs": UTM, "transform": NORTH_UP, "driver": "GTiff"} | facts
    if count == 3:
        profile = {"photometric": "rgb"} | profile
    with rasterio.open(
        path, "w", height=height, width=width, count=count, dtype=data.dtype, **profile
    ) as file:
        file.write(data)
    return path


def patches(height: int, width: int, seed: int = 0) -> numpy.ndarray:
    """Return rectangles of red, green and blue, one over the other, on red."""
    random = numpy.random.default_rng(seed)
    data = numpy.zeros((3, height, width), "uint8")
    data[0] = 255
    for _ in range(60):
        top, left = random.integers(0, height), random.integers(0, width)
        down, right = random.integers(8, 60, 2)
        data[:, top : top + down, left : left + right] = 0
        data[random.integers(0, 3), top : top + down, left : left + right] = 255
    return data
