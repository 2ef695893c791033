"""Turn the numbers of an image into colours: which bands are shown, what is black and what white.

Bytes are colours as they are. Other numbers (of 10, 12 or 16 bits, signed, floating point) say
nothing of what is white: a file of 16 bits may hold 12-bit data that would all be nearly black.
They are stretched by one rule, the same for all bands, so that hues stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import PIL.ExifTags
import PIL.Image
import PIL.ImageOps

from ovsskit._lazy import Bool, Float, Shaped, UInt8, numpy
from ovsskit.errors import BadImage
from ovsskit.files.sizes import MAX_PIXELS

Stretch = Literal["percentile", "minmax", "none"]
STRETCHES: tuple[Stretch, ...] = ("percentile", "minmax", "none")
LOW, HIGH = 2, 98
"""The percentiles that become black and white; QGIS cuts the same share by default."""
ROWS = 256
"""Rows that are stretched at once, so that a huge image needs no huge copies."""


@dataclass(frozen=True)
class Rendering:
    """Say how numbers become colours.

    `stretch` says which number becomes black and which white: `percentile` the 2nd and the 98th
    percentile of the image, `minmax` its smallest and largest number, `none` the least and the most
    that its format can hold (floating point: 0 and 1), or the two numbers themselves, beyond which
    all is black or white. `bands` are shown as red, green and blue, or
    a single one as grey, counted from 1; without any it must be plain which they are.
    """

    stretch: Stretch | tuple[float, float] = "percentile"
    bands: tuple[int, ...] = ()


PLAIN = Rendering()


@dataclass(frozen=True)
class Reading:
    """Say how images are read: how many pixels they may have, and how numbers become colours."""

    max_pixels: int = MAX_PIXELS
    rendering: Rendering = PLAIN


AS_USUAL = Reading()


@dataclass(frozen=True)
class Raster:
    """Hold the numbers of an image by band, without its alpha.

    `white` is the most that the format can hold, 1 for floating point. `colours` tells that the
    first three bands are red, green and blue; else that is so only if there are no others. `alpha`
    goes from 0 to 1; where `valid` is False, there is no number. `turn` is
    the EXIF orientation.
    """

    data: Shaped[numpy.ndarray, "h w band"]
    white: float
    colours: bool = False
    alpha: Float[numpy.ndarray, "h w"] | None = None
    valid: Bool[numpy.ndarray, "h w"] | None = None
    turn: int = 1


def render(raster: Raster, rendering: Rendering) -> tuple[PIL.Image.Image, tuple[str, ...]]:
    """Return an upright image of mode RGB, and in sentences what was chosen.

    What is see-through is put on white; where there is no number, it is black.

    Raises:
        BadImage: nothing says which bands are red, green and blue; it has no such band; it holds no
            number; or unstretched numbers are less than black or more than white.
    """
    data, notes = _choose_bands(raster, rendering.bands)
    valid = numpy.isfinite(data).all(2)
    if raster.valid is not None:
        valid &= raster.valid
    seen = valid if raster.alpha is None else valid & (raster.alpha > 0)
    if not seen.any():
        raise BadImage("It has no value that could be shown.")
    if data.dtype == numpy.uint8:
        pixels = data
    else:
        pixels, note = _stretch(data, data[seen], raster.white, rendering.stretch)
        notes.append(note)
    missing = valid.size - int(valid.sum())
    if missing:
        pixels = numpy.where(valid[..., None], pixels, 0).astype("uint8")
        notes.append(f"{missing:,} pixels have no value, and are black")
    if raster.alpha is not None:
        alpha = raster.alpha[..., None]
        pixels = (pixels * alpha + 255 * (1 - alpha)).round().astype("uint8")
    if pixels.shape[2] == 1:
        pixels = numpy.repeat(pixels, 3, 2)
    image = PIL.Image.fromarray(numpy.ascontiguousarray(pixels))
    image.getexif()[PIL.ExifTags.Base.Orientation] = raster.turn
    return PIL.ImageOps.exif_transpose(image), tuple(notes)


def _choose_bands(
    raster: Raster, bands: tuple[int, ...]
) -> tuple[Shaped[numpy.ndarray, "h w shown"], list[str]]:
    count = raster.data.shape[2]
    there = f"It has {count} band{'s' * (count > 1)}."
    if bands:
        missing = next((band for band in bands if band > count), None)
        if missing is not None:
            raise BadImage(f"It has no band {missing}.", there=there)
        return raster.data[..., [band - 1 for band in bands]], []
    if count in (1, 3):
        return raster.data, []
    if raster.colours and count > 3:
        return raster.data[..., :3], [f"only the first three of {count} bands are shown"]
    what = "Nothing says which of its bands are red, green and blue."
    raise BadImage(what, there=there, fix="Name them: --bands 3,2,1, or one to be grey: --bands 1.")


def _stretch(
    data: Shaped[numpy.ndarray, "h w band"],
    seen: Shaped[numpy.ndarray, "pixel band"],
    white: float,
    rule: Stretch | tuple[float, float],
) -> tuple[UInt8[numpy.ndarray, "h w band"], str]:
    """Return bytes, and which numbers became black and white."""
    least, most = float(seen.min()), float(seen.max())
    low, high, why = 0.0, white, "not stretched"
    if not isinstance(rule, str):
        (low, high), why = rule, "as named"
    if rule == "percentile":
        low, high = map(float, numpy.percentile(seen, (LOW, HIGH)))
        why = f"percentiles {LOW} and {HIGH}"
    if rule == "minmax" or low == high:
        low, high, why = least, most, "least and most"
    if rule == "none" or low == high:
        low, high, why = 0.0, white, "not stretched"
        if least < 0 or most > white:
            raise BadImage(
                f"Its numbers go from {least:g} to {most:g}, and nothing says which is white.",
                there=f"Without stretching, 0 is black and {white:g} white.",
                fix="Stretch it: --stretch percentile.",
            )
    pixels = numpy.empty(data.shape, "uint8")
    for row in range(0, len(data), ROWS):
        numbers = numpy.nan_to_num(data[row : row + ROWS].astype("float64"))
        scaled = (numbers.clip(low, high) - low) / (high - low)
        pixels[row : row + ROWS] = (scaled * 255).round()
    return pixels, f"numbers from {low:g} to {high:g} became black to white ({why})"
