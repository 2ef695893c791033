"""Decode the content of image files: what it holds decides, not a name.

Only these formats are tried, and no other code of Pillow's sees a file. The size is known, and
checked, before anything is decoded.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import PIL.ExifTags
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps

from ovsskit._lazy import numpy
from ovsskit.engine.rendering import Raster, Reading, Rendering, render
from ovsskit.engine.tiff import is_plain_tiff, read_tiff
from ovsskit.errors import BadImage, Place
from ovsskit.files.decoding import hear_decoders, hear_libtiff
from ovsskit.files.signatures import TIFF_HEADS as TIFF_HEADS
from ovsskit.files.signatures import is_heif
from ovsskit.files.sizes import see_size

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "AVIF")
HEIF = "HEIF"
"""What Pillow opens with the extra `heic`."""

JPEG2000_SIZES = b"\xff\x4f\xff\x51"
"""The first two markers of a JPEG 2000 codestream (ISO 15444-1, annex A)."""
HEAD = 65536
"""Bytes of a file that are looked at before it is decoded."""


@dataclass(frozen=True)
class Decoded:
    """Hold an image of mode RGB, and what a person should know of how it came to be."""

    image: PIL.Image.Image
    notes: tuple[str, ...] = ()


def decode(source: Path | BytesIO, where: Place, name: str, reading: Reading) -> Decoded:
    """Decode the content of a file.

    Raises:
        BadImage: it is cut off, of no known format, too large, or nothing says how its numbers
            become colours.
    """
    heard: list[str] = []
    try:
        with hear_decoders(name) as heard, _opened(source) as file:
            head = file.read(HEAD)
            file.seek(0)
            if head[:4] in TIFF_HEADS:
                return _decode_tiff(file, heard, reading)
            if is_heif(head) and not has_heif():
                fix = 'pip install "ovsskit[heic]"'
                raise BadImage("HEIC images need the package `pillow_heif`.", fix=fix)
            with PIL.Image.open(file, formats=(*FORMATS, HEIF) if has_heif() else FORMATS) as image:
                see_size(*image.size, reading.max_pixels)
                return _decode_other(file, head, image, reading.rendering)
    except BadImage as error:
        raise BadImage(error.what, there=error.there, fix=error.fix, where=where) from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise BadImage(
            f"It is far larger than {reading.max_pixels:,} pixels.",
            fix="Resize it.",
            where=where,
        ) from error
    except PIL.UnidentifiedImageError as error:
        raise BadImage(
            "This is not an image of a known format.",
            fix=f"Known: {', '.join((*FORMATS, HEIF))}.",
            where=where,
        ) from error
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        reason = ", ".join(dict.fromkeys(part.strip(" .") for part in [str(error), *heard]))
        raise BadImage(f"The image is broken: {reason}.", where=where) from error


def is_drawn_as_stored(path: Path, rendering: Rendering) -> bool:
    """Tell whether other programs show a file of a known format as it is read here.

    They do not turn what an EXIF tag turns, and know no rendering of numbers that are no bytes.

    Raises:
        OSError: it is missing, or broken.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(0)
        if head[:4] in TIFF_HEADS and not is_plain_tiff(file):
            return False
        file.seek(0)
        with PIL.Image.open(file, formats=(*FORMATS, HEIF) if has_heif() else FORMATS) as image:
            upright = image.getexif().get(PIL.ExifTags.Base.Orientation, 1) == 1
            return upright and not rendering.bands and _bits(head, image.format) <= 8


def draw(image: PIL.Image.Image, rendering: Rendering) -> Decoded:
    """Return an upright image of mode RGB, whatever the mode of this one.

    Raises:
        BadImage: nothing says how its numbers become colours.
    """
    image = PIL.ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        data = numpy.asarray(image)
        white = {"I": 2.0**31 - 1, "F": 1.0}.get(image.mode, 65535.0)
        return Decoded(*render(Raster(data[..., None], white), rendering))
    colour = _to_colour(image)
    if rendering.bands:
        pixels = numpy.asarray(image if image.mode == "L" else colour)
        raster = Raster(pixels if pixels.ndim == 3 else pixels[..., None], 255.0)
        return Decoded(*render(raster, rendering))
    return Decoded(colour)


@cache
def has_heif() -> bool:
    """Tell whether the extra `heic` is installed; Pillow then opens such files."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True


def _opened(source: Path | BytesIO) -> Any:
    return source.open("rb") if isinstance(source, Path) else nullcontext(source)


def _decode_tiff(file: BytesIO | BufferedReader, heard: list[str], reading: Reading) -> Decoded:
    raster, pages = read_tiff(file, reading)
    notes = _first_of(pages, "page")
    if raster is not None:
        image, said = render(raster, reading.rendering)
        return Decoded(image, (*said, *notes))
    file.seek(0)
    with PIL.Image.open(file, formats=("TIFF",)) as image, hear_libtiff(heard):
        return Decoded(_to_colour(PIL.ImageOps.exif_transpose(image)), notes)


def _decode_other(
    file: BytesIO | BufferedReader, head: bytes, image: PIL.Image.Image, rendering: Rendering
) -> Decoded:
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # previews of cameras
    notes = _first_of(frames, "frame")
    bits = _bits(head, image.format)
    if bits <= 8:
        drawn = draw(image, rendering)
        return Decoded(drawn.image, (*drawn.notes, *notes))
    import imagecodecs

    file.seek(0)
    read = imagecodecs.png_decode if image.format == "PNG" else imagecodecs.jpeg2k_decode
    numbers = numpy.atleast_3d(read(file.read()))
    white, alpha = 2.0**bits - 1, None
    if numbers.shape[2] in (2, 4) and image.has_transparency_data:
        numbers, alpha = numbers[..., :-1], numbers[..., -1] / white
    turn = image.getexif().get(PIL.ExifTags.Base.Orientation, 1)
    raster = Raster(numbers, white, image.mode.startswith("RGB"), alpha, turn=turn)
    shown, said = render(raster, rendering)
    return Decoded(shown, (*said, *notes))


def _to_colour(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an image of mode RGB; inks follow their profile, what is see-through is on white."""
    profile = image.info.get("icc_profile")
    if image.mode == "LAB" or (image.mode == "CMYK" and profile):
        source = BytesIO(profile) if profile else PIL.ImageCms.createProfile("LAB")
        target = PIL.ImageCms.createProfile("sRGB")
        converted = PIL.ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        assert converted is not None  # it is None only for images that are changed in place
        return converted
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = PIL.Image.new("RGBA", layer.size, "white")
        return PIL.Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _bits(head: bytes, kind: str | None) -> int:
    """Return how many bits a number of a PNG or JPEG 2000 file has; 8 for other formats."""
    if kind == "PNG":
        return head[24]
    place = head.find(JPEG2000_SIZES) if kind == "JPEG2000" else -1
    return (head[place + 42] & 0x7F) + 1 if 0 <= place < len(head) - 42 else 8


def _first_of(count: int, what: str) -> tuple[str, ...]:
    return (f"only the first of {count} {what}s is read",) if count > 1 else ()
