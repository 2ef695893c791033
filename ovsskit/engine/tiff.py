"""Read TIFF files whose numbers are more than bytes, or whose bands are more than colours."""

from __future__ import annotations

from io import BufferedReader, BytesIO
from typing import Any

from ovsskit._lazy import numpy
from ovsskit.engine.rendering import Raster, Reading
from ovsskit.errors import BadImage
from ovsskit.files.sizes import see_size

GREY_ON_WHITE, GREY, COLOUR, INKS = 0, 1, 2, 5
"""Values of the tag PhotometricInterpretation (TIFF 6.0, section 8)."""
PREMULTIPLIED, ALPHA = 1, 2
"""Values of the tag ExtraSamples that say that a band is an alpha channel."""
ORIENTATION, NO_DATA = 274, 42113
"""Tags: the EXIF orientation, and that in which GDAL names the number that stands for none."""
MOST_BANDS = 8
"""Numbers that are read are at most so many times as many as pixels; more bands, fewer pixels."""


def read_tiff(file: BytesIO | BufferedReader, reading: Reading) -> tuple[Raster | None, int]:
    """Return the numbers of the first page, and how many pages there are.

    There are no numbers (None) for bytes that are grey, colours, inks or a palette, which Pillow
    reads, unless bands are named.

    Raises:
        BadImage: it is too large, or has a form that is not read.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        pages: Any = tiff.pages
        page = pages.first
        see_size(page.imagewidth, page.imagelength, reading.max_pixels)
        count = sum(not one.is_reduced for one in pages)
        if _is_plain(page) and not reading.rendering.bands:
            return None, count
        if (
            page.samplesperpixel * page.imagewidth * page.imagelength
            > MOST_BANDS * reading.max_pixels
        ):
            what = f"It has {page.samplesperpixel} bands of {page.imagewidth} x {page.imagelength}"
            fix = "Resize it, or allow more with --max-pixels."
            raise BadImage(f"{what} pixels, more than are allowed.", fix=fix)
        if page.photometric not in (GREY_ON_WHITE, GREY, COLOUR) or page.dtype is None:
            what = f"Its colours are {page.photometric.name} of {page.bitspersample} bits."
            raise BadImage(what, fix="Save it in grey or as RGB.")
        return _to_raster(page), count


def is_plain_tiff(file: BytesIO | BufferedReader) -> bool:
    """Tell whether the first page of a TIFF holds bytes that are grey, colours, inks or a palette.

    Raises:
        ValueError: it is no TIFF, or broken.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        return _is_plain(tiff.pages.first)


def _is_plain(page: Any) -> bool:
    """Tell whether Pillow reads all of a page as it is meant."""
    if page.dtype not in ("uint8", "bool") or page.bitspersample > 8:
        return False
    extra = [int(one) for one in page.extrasamples]
    if page.photometric in (GREY_ON_WHITE, GREY, COLOUR):
        has_alpha = extra in ([PREMULTIPLIED], [ALPHA])
        colours: int = page.samplesperpixel - has_alpha
        return colours == (3 if page.photometric == COLOUR else 1)
    return True


def _to_raster(page: Any) -> Raster:
    kind = numpy.dtype(page.dtype).kind
    extra = [int(one) for one in page.extrasamples]
    if page.axes not in ("YX", "YXS", "SYX"):
        raise BadImage(f"Its numbers have the axes {page.axes}.", fix="Save it as a flat image.")
    if PREMULTIPLIED in extra or (page.photometric == GREY_ON_WHITE and kind != "u"):
        what = "Its colours are premultiplied by alpha, or its lowest value is white."
        raise BadImage(f"{what} This is supported only for bytes.", fix="Save it as plain RGB.")
    data = page.asarray(maxworkers=1)
    data = {"YX": data[..., None], "YXS": data, "SYX": numpy.moveaxis(data, 0, -1)}[page.axes]
    white = 2.0 ** (page.bitspersample - (kind == "i")) - 1 if kind in "iu" else 1.0
    valid = _where_valid(page, data)
    alpha = None
    if ALPHA in extra:
        place = data.shape[2] - len(extra) + extra.index(ALPHA)
        alpha = data[..., place] / white
        data = numpy.delete(data, place, 2)
    if page.photometric == GREY_ON_WHITE:
        data = (white - data).astype(data.dtype)
    turn = page.tags[ORIENTATION].value if ORIENTATION in page.tags else 1
    return Raster(data, white, page.photometric == COLOUR, alpha, valid, turn)


def _where_valid(page: Any, data: Any) -> Any:
    """Return where not all bands hold the number that stands for none, if the file names one."""
    if NO_DATA not in page.tags:
        return None
    return ~(data == page.nodata).all(2)
