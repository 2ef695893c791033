"""Read images: any of five formats, whatever its mode, as red, green and blue from 0 to 1.

An image is turned upright by its EXIF orientation. Grey and palette images become colour; of 16
bits the upper 8 are kept; what is see-through is put on white; of several frames the first is
taken. Colour profiles are not applied.
"""

from __future__ import annotations

from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import PIL.Image
import PIL.ImageOps

from ovsskit._lazy import UInt8, numpy, torch
from ovsskit.engine.values import Image
from ovsskit.errors import BadImage, Place
from ovsskit.files.decoding import hear_decoders, hear_libtiff
from ovsskit.files.inputs import MAX_PIXELS

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""What is opened; a file's content decides, not its name."""

ImageSource: TypeAlias = (
    "str | Path | PIL.Image.Image | UInt8[numpy.ndarray, 'h w 3'] | UInt8[numpy.ndarray, 'h w']"
)
"""A path, a PIL image, or an array of bytes."""


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read an image from a path, a PIL image, or an array of bytes `h w 3` or `h w`.

    Its name is the file's stem.

    Raises:
        BadImage: it is missing, empty, cut off, no image of a known format, or has more than
            `max_pixels`.
    """
    if isinstance(source, str | Path):
        return Image(_to_tensor(_read_file(Path(source), max_pixels)), Path(source).stem)
    image = source if isinstance(source, PIL.Image.Image) else PIL.Image.fromarray(source)
    _check_size(image, max_pixels, None)
    return Image(_to_tensor(to_colour(image)), "image")


def read_encoded(
    content: bytes, where: str, name: str = "", *, max_pixels: int = MAX_PIXELS
) -> Image:
    """Read an image from the bytes of a file; `where` says where they come from, for messages.

    Raises:
        BadImage: they are empty, cut off, no image of a known format, or have more than
            `max_pixels`.
    """
    place = Place(where)
    if not content:
        raise BadImage("The image is empty.", where=place)
    return Image(_to_tensor(_decode(BytesIO(content), place, where, max_pixels)), name)


def allow_pixels(max_pixels: int) -> None:
    """Let Pillow open images of this many pixels in this process; its limit is 179 million."""
    if PIL.Image.MAX_IMAGE_PIXELS is not None:
        PIL.Image.MAX_IMAGE_PIXELS = max(PIL.Image.MAX_IMAGE_PIXELS, max_pixels)


def to_colour(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an upright image of mode RGB, whatever the mode of this one.

    Raises:
        BadImage: its numbers are floating point or have 32 bits, so that nothing says which of them
            is white.
    """
    image = PIL.ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return PIL.Image.fromarray((numpy.asarray(image) >> 8).astype("uint8")).convert("RGB")
    if image.mode in ("I", "F"):
        raise BadImage(
            "Its numbers have 32 bits, and nothing says which of them is white.",
            fix="Save it with 8 or 16 bits.",
        )
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, "white"), layer).convert(
            "RGB"
        )
    return image.convert("RGB")


def _read_file(path: Path, max_pixels: int) -> PIL.Image.Image:
    where = Place(str(path))
    if path.is_dir():
        raise BadImage("This is a folder, not an image.", where=where)
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise BadImage(
            f"The file cannot be read: {error.strerror or error}.", where=where
        ) from error
    if empty:
        raise BadImage("The file is empty.", where=where)
    return _decode(path, where, path.name, max_pixels)


def _decode(source: Path | BytesIO, where: Place, name: str, max_pixels: int) -> PIL.Image.Image:
    heard: list[str] = []
    try:
        with hear_decoders(name) as heard, PIL.Image.open(source, formats=FORMATS) as image:
            _check_size(image, max_pixels, where)
            with hear_libtiff(heard) if image.format == "TIFF" else nullcontext():
                return to_colour(image)
    except BadImage as error:
        raise BadImage(error.what, fix=error.fix, where=where) from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise BadImage(
            f"It is far larger than {max_pixels:,} pixels.", fix="Make it smaller.", where=where
        ) from error
    except PIL.UnidentifiedImageError as error:
        raise BadImage(
            "This is not an image of a known format.",
            fix=f"Known are: {', '.join(FORMATS)}.",
            where=where,
        ) from error
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        reason = ", ".join(dict.fromkeys(part.strip(" .") for part in [str(error), *heard]))
        raise BadImage(f"The image is broken: {reason}.", where=where) from error


def _check_size(image: PIL.Image.Image, max_pixels: int, where: Place | None) -> None:
    width, height = image.size
    if width * height > max_pixels:
        what = f"It is {width} x {height} pixels large, more than the {max_pixels:,} that are read."
        raise BadImage(what, fix="Make it smaller, or allow more with --max-pixels.", where=where)


def _to_tensor(image: PIL.Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(numpy.array(image))
    return pixels.permute(2, 0, 1).float().div(255).contiguous()
