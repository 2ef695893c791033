"""Tell rasters, which run window by window, from images, which run as a whole."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit.errors import BadImage
from ovsskit.files.remote import RemotePath
from ovsskit.files.signatures import TIFF_HEADS, begins_as_image
from ovsskit.files.videos import is_frame, is_video
from ovsskit.run.rasters.mosaic import is_mosaic
from ovsskit.run.rasters.opening import opened

PLACES = {33550, 33922, 34264}
"""TIFF tags that say where on earth it lies: pixel scale, tie points, transformation (GeoTIFF)."""
ORIENTATION = 274
SIZES = b"\xff\x4f\xff\x51"
"""How the codestream of JPEG 2000 begins; the size follows."""
JPEG2000 = (b"\0\0\0\x0cjP  ", SIZES)
JPEG2000_PLACES = (b"\xb1\x4b\xf8\xbd\x08\x3d\x4b\x43\xa5\xae\x8c\xd7\xd5\xa6\xce\x03", b"gml:")
"""What names a place in JPEG 2000: the box of GeoJP2, and GML."""
HEAD = 65536
WORLD_FILES = {
    ".png": (".pgw", ".pngw"),
    ".jpg": (".jgw", ".jpgw"),
    ".jpeg": (".jgw", ".jpegw"),
    ".tif": (".tfw", ".tifw"),
    ".tiff": (".tfw", ".tiffw"),
    ".jp2": (".j2w", ".jp2w"),
    ".bmp": (".bpw", ".bmpw"),
    ".webp": (".wpw", ".webpw"),
}
"""The endings of the files that give images of other endings a place."""


def find_rasters(images: Sequence[Path], max_pixels: int) -> list[Path]:
    """Return which of the images are rasters.

    These are files that say where on earth they lie, TIFF and JPEG 2000 files that have more than
    `max_pixels`, and those of formats that GDAL alone reads.
    """
    return [path for path in images if is_raster(path, max_pixels)]


def is_raster(path: Path, max_pixels: int) -> bool:
    """Tell whether a file is a raster; False where it is missing, broken, or far away."""
    if isinstance(path, RemotePath) or is_frame(path) or is_video(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(16)
            head += file.read(HEAD) if head.startswith(JPEG2000) else b""
    except OSError:
        return False
    if _has_world_file(path):
        return True
    if is_mosaic(path):
        return True
    if head[:4] in TIFF_HEADS:
        return _is_raster_tiff(path, max_pixels)
    if head.startswith(JPEG2000):
        has_place = any(mark in head for mark in JPEG2000_PLACES)
        return has_place or _is_large(head, max_pixels)
    return bool(head) and not begins_as_image(path) and _is_known(path)


def _has_world_file(path: Path) -> bool:
    beside = path.with_name(f"{path.name}.aux.xml")
    try:
        if beside.is_file() and b"<GeoTransform>" in beside.read_bytes()[:HEAD]:
            return True
        endings = WORLD_FILES.get(path.suffix.lower(), ())
        return any(path.with_suffix(ending).is_file() for ending in endings)
    except OSError:
        return False


def _is_raster_tiff(path: Path, max_pixels: int) -> bool:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages.first
            is_upright = ORIENTATION not in page.tags or page.tags[ORIENTATION].value == 1
            is_large = page.imagewidth * page.imagelength > max_pixels
            return bool(PLACES & {*page.tags.keys()}) or (is_upright and is_large)
    except Exception:  # whoever reads it says what is wrong
        return False


def _is_large(head: bytes, max_pixels: int) -> bool:
    """Tell whether a JPEG 2000 file has more pixels (ISO 15444-1, A.5.1)."""
    place = head.find(SIZES)
    if place < 0 or len(head) < place + 24:
        return False
    right, bottom, left, top = struct.unpack_from(">4I", head, place + 8)
    return bool((right - left) * (bottom - top) > max_pixels)


def _is_known(path: Path) -> bool:
    """Tell whether GDAL reads a file; False where it is not installed."""
    try:
        import rasterio  # noqa: F401
    except ImportError:
        return False
    try:
        with opened(path):
            return True
    except BadImage:
        return False
