"""Images of every format, and masks."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy
import PIL.Image
import tifffile

from fuzzing.feeding import Reader, Readers

FORMATS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "png": (("RGB", {}), ("P", {}), ("I;16", {}), ("RGBA", {"compress_level": 0})),
    "jpg": (("RGB", {}), ("L", {"progressive": True}), ("CMYK", {})),
    "gif": (("P", {}), ("L", {"interlace": 0})),
    "bmp": (("RGB", {}), ("1", {})),
    "webp": (("RGB", {}), ("RGBA", {"lossless": True})),
}
"""The modes in which images of a format are written, and how."""


def _pixels() -> numpy.ndarray:
    return numpy.random.default_rng(0).integers(0, 256, (24, 32, 3), "uint8")


def _images(ending: str) -> Reader:
    from ovsskit.engine.images import read_image

    good = []
    for mode, how in FORMATS[ending]:
        image, content = PIL.Image.fromarray(_pixels()), io.BytesIO()
        wide = mode == "I;16"
        shown = PIL.Image.fromarray(_pixels()[..., 0].astype("uint16")) if wide else image
        exif = PIL.Image.Exif()
        exif[0x0112] = 6  # turned
        saved = shown if wide else shown.convert(mode)
        saved.save(content, PIL.Image.registered_extensions()[f".{ending}"], exif=exif, **how)
        good.append(content.getvalue())
    return Reader(ending, tuple(good), f"image.{ending}", read_image)


def _tiffs() -> Reader:
    from ovsskit.engine.images import read_image

    good = []
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("uint8", {"photometric": "rgb"}),
        ("uint16", {"photometric": "rgb", "compression": "zlib"}),
        ("float32", {"photometric": "minisblack", "planarconfig": "contig", "tile": (16, 16)}),
    )
    for kind, how in kinds:
        content = io.BytesIO()
        tifffile.imwrite(content, _pixels().astype(kind), **how)
        good.append(content.getvalue())
    return Reader("tif", tuple(good), "image.tif", read_image)


def _masks() -> Reader:
    from ovsskit.datasets.masks import read_mask

    good = []
    for image in (
        PIL.Image.fromarray(_pixels()[..., 0]),
        PIL.Image.fromarray(_pixels()[..., 0]).convert("P"),
        PIL.Image.fromarray(_pixels()[..., 0].astype("uint16")),
    ):
        content = io.BytesIO()
        image.save(content, "PNG")
        good.append(content.getvalue())
    return Reader("masks", tuple(good), "mask.png", read_mask)


READERS: Readers = {
    **{ending: partial(_images, ending) for ending in FORMATS},
    "tif": _tiffs,
    "masks": _masks,
}
