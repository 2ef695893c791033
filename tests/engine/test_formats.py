"""Sixty kinds of files, written by the formats' own libraries, and the pixels that they give."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy
import PIL.Image
import PIL.ImageCms
import pytest
import tifffile

from ovsskit.engine import formats
from ovsskit.engine.formats import is_drawn_as_stored
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import PLAIN, Reading, Rendering
from ovsskit.errors import BadImage

HEIGHT, WIDTH = 20, 30
RANDOM = numpy.random.default_rng(1)
BYTES = RANDOM.integers(0, 256, (HEIGHT, WIDTH, 6), "uint8")
TWELVE = RANDOM.integers(100, 4096, (HEIGHT, WIDTH, 6), "uint16")
SIGNED = (TWELVE.astype("int32") - 2000).astype("int16")
FLOATS = RANDOM.normal(0.2, 0.1, (HEIGHT, WIDTH, 6)).astype("float32")
FLAT = numpy.full((HEIGHT, WIDTH, 3), (200, 60, 30), "uint8")
ALPHA = numpy.where(BYTES[..., 0] > 127, 255, 0).astype("uint8")
DEEP_ALPHA = numpy.where(BYTES[..., 0] > 127, 65535, 0).astype("uint16")


@dataclass(frozen=True)
class Case:
    """Hold how a file is written, its expected pixels, and the words of its notes."""

    name: str
    write: Callable[[Path], Any]
    expected: numpy.ndarray
    note: str = ""
    within: int = 0
    rendering: Rendering = PLAIN


def grey(numbers: numpy.ndarray) -> numpy.ndarray:
    return numpy.repeat(numbers[..., None], 3, 2)


def stretched(numbers: numpy.ndarray, seen: Any = ...) -> numpy.ndarray:
    """Sort all numbers, find the 2nd and 98th percentile between neighbours, and scale."""
    ordered = sorted(numbers[seen].astype(float).ravel().tolist())

    def at(percent: float) -> float:
        place = percent / 100 * (len(ordered) - 1)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    low, high = at(2), at(98)
    scaled = (numbers.astype(float) - low) / (high - low) * 255
    pixels = numpy.rint(numpy.clip(scaled, 0, 255)).astype("uint8")
    return grey(pixels) if pixels.ndim == 2 else pixels


def scaled(numbers: numpy.ndarray, low: float, high: float) -> numpy.ndarray:
    pixels = numpy.rint((numbers.astype(float) - low) / (high - low) * 255).astype("uint8")
    return grey(pixels) if pixels.ndim == 2 else pixels


def on_white(pixels: numpy.ndarray, alpha: numpy.ndarray) -> numpy.ndarray:
    return numpy.where(alpha[..., None] > 0, pixels, 255).astype("uint8")


def by_pillow(pixels: Any, kind: str, mode: str = "", **options: Any) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        image = PIL.Image.fromarray(pixels)
        (image.convert(mode) if mode else image).save(path, kind, **options)

    return write


def by_tifffile(numbers: numpy.ndarray, **options: Any) -> Callable[[Path], Any]:
    return lambda path: tifffile.imwrite(path, numpy.ascontiguousarray(numbers), **options)


def by_codec(encode: Any, numbers: numpy.ndarray, **options: Any) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(encode(numpy.ascontiguousarray(numbers), **options))


def with_frames(kind: str, **options: Any) -> Callable[[Path], Any]:
    frames = [PIL.Image.fromarray(one) for one in (FLAT, 255 - FLAT, BYTES[..., :3])]
    return lambda path: frames[0].save(
        path, kind, save_all=True, append_images=frames[1:], **options
    )


def cmyk_profile() -> bytes:
    """Return the profile of a printer that only makes greys: each ink takes a third of the light
    (ICC.1:2010, a table of type mft2 from inks to CIELAB).
    """

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    grid, entries = 2, []
    for inks in numpy.ndindex(grid, grid, grid, grid):
        light = (1 - inks[3]) * (3 - sum(inks[:3])) / 3
        entries += [round(light * 0xFF00), 0x8000, 0x8000]
    line = [*range(0, 65536, 65535)]
    table = b"mft2" + bytes(4) + bytes([4, 3, grid, 0])
    table += b"".join(fixed(float(one)) for one in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    table += struct.pack(">HH", 2, 2) + struct.pack(">8H", *(line * 4))
    table += struct.pack(f">{len(entries)}H", *entries) + struct.pack(">6H", *(line * 3))
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    white = b"XYZ " + bytes(4) + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    tags, body, start = [], b"", 128 + 4 + 12 * 3
    for name, content in ((b"desc", text), (b"wtpt", white), (b"A2B0", table)):
        content += bytes(-len(content) % 4)
        tags.append(name + struct.pack(">II", start + len(body), len(content)))
        body += content
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"test", 0x02100000, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return head + bytes(128 - len(head)) + struct.pack(">I", 3) + b"".join(tags) + body


TURN = {"extratags": [(274, 3, 1, 6, True)]}
GDAL_NONE = {"extratags": [(42113, 2, 3, "-9", True)]}
HOLED = numpy.where(BYTES[..., :1] > 250, -9, FLOATS[..., :3]).astype("float32")
NAN = numpy.where(BYTES[..., :1] > 250, numpy.nan, FLOATS[..., :3]).astype("float32")
SEEN = BYTES[..., 0] <= 250
BLACK_HOLES = numpy.where(SEEN[..., None], stretched(FLOATS[..., :3], SEEN), 0)
UNIT = RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3)).astype("float32") / 255
COLOURS, GREYS = BYTES[..., :3], BYTES[..., 0]
NOT, ALL, CUT = Rendering("none"), Rendering("minmax"), "(percentiles 2 and 98)"
PALETTE = PIL.Image.fromarray(FLAT).quantize(4)


def tags(photometric: str, *extra: str, **more: Any) -> dict[str, Any]:
    return {"photometric": photometric, "extrasamples": extra or None, **more}


def apart(numbers: numpy.ndarray) -> numpy.ndarray:
    return numpy.moveaxis(numbers, 2, 0)


def with_inks(profile: bytes | None) -> Callable[[Path], Any]:
    inks = PIL.Image.new("CMYK", (WIDTH, HEIGHT), (255, 0, 0, 0))
    return lambda path: inks.save(path, "TIFF", icc_profile=profile)


def full(*colour: int) -> numpy.ndarray:
    return numpy.full((HEIGHT, WIDTH, 3), colour, "uint8")


def cut_by_pixel(first: int, white: int = 65535) -> numpy.ndarray:
    return scaled(TWELVE[..., first], 0, white)


CASES = [
    # bytes, by format
    Case("jpeg", by_pillow(FLAT, "JPEG", quality=100), FLAT, within=2),
    Case("jpeg-grey", by_pillow(full(90, 90, 90), "JPEG", "L", quality=100), full(90, 90, 90)),
    Case("jpeg-inks", by_pillow(full(0, 0, 0), "JPEG", "CMYK"), full(0, 0, 0), within=2),
    Case("png", by_pillow(COLOURS, "PNG"), COLOURS),
    Case("png-grey", by_pillow(GREYS, "PNG"), grey(GREYS)),
    Case("png-palette", lambda path: PALETTE.save(path, "PNG"), FLAT),
    Case("png-one-bit", by_pillow(ALPHA, "PNG", "1"), grey(ALPHA)),
    Case("png-alpha", by_pillow(numpy.dstack([COLOURS, ALPHA]), "PNG"), on_white(COLOURS, ALPHA)),
    Case(
        "png-grey-alpha",
        by_pillow(numpy.dstack([GREYS, ALPHA]), "PNG"),
        on_white(grey(GREYS), ALPHA),
    ),
    Case("apng", with_frames("PNG"), FLAT, "first of 3 frames is read"),
    Case("webp", by_pillow(COLOURS, "WEBP", lossless=True), COLOURS),
    Case("webp-frames", with_frames("WEBP", lossless=True), FLAT, "first of 3 frames is read"),
    Case("bmp", by_pillow(COLOURS, "BMP"), COLOURS),
    Case("bmp-grey", by_pillow(GREYS, "BMP"), grey(GREYS)),
    Case("gif", by_pillow(FLAT, "GIF"), FLAT),
    Case("gif-frames", with_frames("GIF"), FLAT, "first of 3 frames is read"),
    Case("avif", by_pillow(FLAT, "AVIF", quality=100), FLAT, within=2),
    Case(
        "avif-ten-bits",
        by_codec(imagecodecs.avif_encode, FLAT.astype("uint16") * 4, bitspersample=10, level=100),
        FLAT,
        within=2,
    ),
    Case("heic", by_pillow(FLAT, "HEIF", quality=100), FLAT, within=3),
    Case("jpeg2000", by_pillow(COLOURS, "JPEG2000", irreversible=False), COLOURS),
    Case("jpeg2000-grey", by_pillow(GREYS, "JPEG2000", irreversible=False), grey(GREYS)),
    Case(
        "jpeg2000-stream",
        by_codec(imagecodecs.jpeg2k_encode, COLOURS, level=0, reversible=True, codecformat="J2K"),
        COLOURS,
    ),
    # bytes in TIFF
    Case("tiff", by_tifffile(COLOURS, **tags("rgb")), COLOURS),
    Case("tiff-grey", by_tifffile(GREYS), grey(GREYS)),
    Case("tiff-white-is-0", by_tifffile(GREYS, **tags("miniswhite")), grey(255 - GREYS)),
    Case("tiff-lzw", by_tifffile(COLOURS, compression="lzw", **tags("rgb")), COLOURS),
    Case("tiff-big", by_tifffile(COLOURS, bigtiff=True, **tags("rgb")), COLOURS),
    Case("tiff-big-endian", by_tifffile(COLOURS, byteorder=">", **tags("rgb")), COLOURS),
    Case("tiff-tiled", by_tifffile(COLOURS, tile=(16, 16), **tags("rgb")), COLOURS),
    Case(
        "tiff-planes",
        by_tifffile(apart(COLOURS), planarconfig="separate", **tags("rgb")),
        COLOURS,
    ),
    Case("tiff-palette", lambda path: PALETTE.save(path, "TIFF"), FLAT),
    Case(
        "tiff-alpha",
        by_tifffile(numpy.dstack([COLOURS, ALPHA]), **tags("rgb", "unassalpha")),
        on_white(COLOURS, ALPHA),
    ),
    Case(
        "tiff-fourth-band",
        by_tifffile(BYTES[..., :4], **tags("rgb", "unspecified")),
        COLOURS,
        "only the first three of 4 bands are shown",
    ),
    Case(
        "tiff-pages",
        by_tifffile(BYTES.transpose(2, 0, 1), **tags("minisblack")),
        grey(GREYS),
        "only the first of 6 pages is read",
    ),
    Case("tiff-inks", with_inks(None), full(0, 255, 255)),
    Case("tiff-inks-profile", with_inks(cmyk_profile()), full(162, 162, 162)),
    Case("tiff-lab", by_pillow(full(50, 50, 50), "TIFF", "LAB"), full(50, 50, 50), within=2),
    Case("tiff-turned", by_tifffile(COLOURS, **tags("rgb", **TURN)), numpy.rot90(COLOURS, -1)),
    Case(
        "tiff-six-bands",
        by_tifffile(BYTES, **tags("minisblack", planarconfig="contig")),
        BYTES[..., [3, 2, 1]],
        rendering=Rendering(bands=(4, 3, 2)),
    ),
    Case(
        "tiff-one-band",
        by_tifffile(BYTES, **tags("minisblack", planarconfig="contig")),
        grey(BYTES[..., 5]),
        rendering=Rendering(bands=(6,)),
    ),
    Case(
        "png-bands",
        by_pillow(COLOURS, "PNG"),
        COLOURS[..., ::-1],
        rendering=Rendering(bands=(3, 2, 1)),
    ),
    # more than bytes
    Case(
        "png-16", by_codec(imagecodecs.png_encode, TWELVE[..., :3]), stretched(TWELVE[..., :3]), CUT
    ),
    Case(
        "png-16-grey",
        by_codec(imagecodecs.png_encode, TWELVE[..., 0]),
        stretched(TWELVE[..., 0]),
        CUT,
    ),
    Case(
        "png-16-alpha",
        by_codec(imagecodecs.png_encode, numpy.dstack([TWELVE[..., :3], DEEP_ALPHA])),
        on_white(stretched(TWELVE[..., :3], DEEP_ALPHA > 0), DEEP_ALPHA),
        CUT,
    ),
    Case(
        "png-16-none",
        by_codec(imagecodecs.png_encode, TWELVE[..., 0]),
        cut_by_pixel(0),
        "from 0 to 65535",
        rendering=NOT,
    ),
    Case(
        "png-16-minmax",
        by_codec(imagecodecs.png_encode, TWELVE[..., 0]),
        scaled(TWELVE[..., 0], TWELVE[..., 0].min(), TWELVE[..., 0].max()),
        "(least and most)",
        rendering=ALL,
    ),
    Case(
        "jpeg2000-16",
        by_codec(imagecodecs.jpeg2k_encode, TWELVE[..., :3], level=0, reversible=True),
        stretched(TWELVE[..., :3]),
        CUT,
    ),
    Case(
        "jpeg2000-12",
        by_codec(
            imagecodecs.jpeg2k_encode, TWELVE[..., 0], level=0, reversible=True, bitspersample=12
        ),
        cut_by_pixel(0, 4095),
        "from 0 to 4095",
        rendering=NOT,
    ),
    Case("tiff-16", by_tifffile(TWELVE[..., :3], **tags("rgb")), stretched(TWELVE[..., :3]), CUT),
    Case("tiff-16-grey", by_tifffile(TWELVE[..., 0]), stretched(TWELVE[..., 0]), CUT),
    Case(
        "tiff-16-lzw",
        by_tifffile(TWELVE[..., :3], compression="lzw", predictor=True, **tags("rgb")),
        stretched(TWELVE[..., :3]),
        CUT,
    ),
    Case(
        "tiff-16-planes",
        by_tifffile(apart(TWELVE[..., :3]), planarconfig="separate", **tags("rgb")),
        stretched(TWELVE[..., :3]),
        CUT,
    ),
    Case(
        "tiff-16-three-bands",
        by_tifffile(TWELVE[..., :3], **tags("minisblack", planarconfig="contig")),
        stretched(TWELVE[..., :3]),
        CUT,
    ),
    Case(
        "tiff-16-alpha",
        by_tifffile(numpy.dstack([TWELVE[..., :3], DEEP_ALPHA]), **tags("rgb", "unassalpha")),
        on_white(stretched(TWELVE[..., :3], DEEP_ALPHA > 0), DEEP_ALPHA),
        CUT,
    ),
    Case(
        "tiff-16-fourth-band",
        by_tifffile(TWELVE[..., :4], **tags("rgb", "unspecified")),
        stretched(TWELVE[..., :3]),
        "only the first three of 4 bands are shown",
    ),
    Case(
        "tiff-16-six-bands",
        by_tifffile(TWELVE, **tags("minisblack", planarconfig="contig")),
        stretched(TWELVE[..., [3, 2, 1]]),
        CUT,
        rendering=Rendering(bands=(4, 3, 2)),
    ),
    Case(
        "tiff-16-white-is-0",
        by_tifffile(TWELVE[..., 0], **tags("miniswhite")),
        stretched(65535 - TWELVE[..., 0]),
        CUT,
    ),
    Case(
        "tiff-16-turned",
        by_tifffile(TWELVE[..., :3], **tags("rgb", **TURN)),
        numpy.rot90(stretched(TWELVE[..., :3]), -1),
        CUT,
    ),
    Case(
        "tiff-16-pages",
        by_tifffile(apart(TWELVE), **tags("minisblack")),
        stretched(TWELVE[..., 0]),
        "only the first of 6 pages is read",
    ),
    Case(
        "tiff-12-packed",
        by_tifffile(TWELVE[..., 0], bitspersample=12),
        cut_by_pixel(0, 4095),
        "from 0 to 4095",
        rendering=NOT,
    ),
    Case("tiff-signed", by_tifffile(SIGNED[..., 0]), stretched(SIGNED[..., 0]), CUT),
    Case("tiff-32", by_tifffile(TWELVE[..., 0].astype("uint32")), stretched(TWELVE[..., 0]), CUT),
    Case(
        "tiff-float", by_tifffile(FLOATS[..., :3], **tags("rgb")), stretched(FLOATS[..., :3]), CUT
    ),
    Case("tiff-float-grey", by_tifffile(FLOATS[..., 0]), stretched(FLOATS[..., 0]), CUT),
    Case(
        "tiff-float-none",
        by_tifffile(UNIT, **tags("rgb")),
        scaled(UNIT, 0, 1),
        "from 0 to 1",
        rendering=NOT,
    ),
    Case(
        "tiff-half",
        by_tifffile(FLOATS[..., 0].astype("float16")),
        stretched(FLOATS[..., 0].astype("float16")),
        CUT,
    ),
    Case(
        "tiff-double", by_tifffile(FLOATS[..., 0].astype("float64")), stretched(FLOATS[..., 0]), CUT
    ),
    Case(
        "tiff-nan",
        by_tifffile(NAN, **tags("rgb")),
        BLACK_HOLES,
        "pixels have no value, and are black",
    ),
    Case(
        "tiff-no-data",
        by_tifffile(HOLED, **tags("rgb", **GDAL_NONE)),
        BLACK_HOLES,
        "pixels have no value, and are black",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_kind_of_file_gives_its_pixels(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "without-an-ending"
    if case.name == "heic":
        pytest.importorskip("pillow_heif")
        assert formats.has_heif()
    case.write(path)
    image = read_image(path, Reading(rendering=case.rendering))
    pixels = image.pixels.numpy()
    assert pixels.shape == case.expected.shape
    assert numpy.abs(pixels.astype(int) - case.expected).max() <= case.within
    assert case.note in "; ".join(image.notes)
    assert bool(image.notes) == bool(case.note)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_drawn_as_stored_is_what_pillow_shows(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "without-an-ending"
    case.write(path)
    as_stored = is_drawn_as_stored(path, case.rendering)
    assert not (as_stored and "became black to white" in case.note)
    if not as_stored:
        return
    with PIL.Image.open(path) as image:
        assert image.size == case.expected.shape[1::-1]
        if image.mode in ("L", "RGB"):
            shown = numpy.asarray(image.convert("RGB"))
            assert numpy.abs(shown.astype(int) - case.expected).max() <= case.within


def test_most_images_of_bytes_are_drawn_as_stored(tmp_path: Path) -> None:
    path = tmp_path / "image"
    by_pillow(COLOURS, "PNG")(path)
    assert is_drawn_as_stored(path, PLAIN)
    assert not is_drawn_as_stored(path, Rendering(bands=(3, 2, 1)))
    by_tifffile(TWELVE[..., :3])(path)
    assert not is_drawn_as_stored(path, PLAIN)


def test_there_are_sixty_kinds_and_no_two_of_a_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (by_tifffile(BYTES, **tags("minisblack", planarconfig="contig")), "red, green and blue"),
        (by_tifffile(TWELVE[..., :4], **tags("minisblack", planarconfig="contig")), "4 bands"),
        (by_tifffile(FLOATS * numpy.nan), "has no value"),
        (by_tifffile(TWELVE[..., :2], **tags("minisblack", planarconfig="contig")), "--bands"),
    ],
)
def test_what_nothing_is_said_of_is_refused(tmp_path: Path, write: Any, message: str) -> None:
    write(tmp_path / "some.tif")
    with pytest.raises(BadImage) as caught:
        read_image(tmp_path / "some.tif")
    assert message in str(caught.value)
    assert str(caught.value.where) == str(tmp_path / "some.tif")


def test_a_band_that_is_not_there(tmp_path: Path) -> None:
    by_pillow(COLOURS, "PNG")(tmp_path / "some.png")
    with pytest.raises(BadImage, match="It has no band 4.\n  It has 3 bands."):
        read_image(tmp_path / "some.png", Reading(rendering=Rendering(bands=(4, 3, 2))))


def test_unstretched_numbers_must_be_between_black_and_white(tmp_path: Path) -> None:
    by_tifffile(SIGNED[..., 0])(tmp_path / "some.tif")
    with pytest.raises(BadImage, match="(?s)nothing says which is white.*--stretch percentile"):
        read_image(tmp_path / "some.tif", Reading(rendering=NOT))


def test_a_file_of_heic_says_which_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    monkeypatch.setattr(formats, "has_heif", lambda: False)
    with pytest.raises(BadImage, match="pillow_heif.*\n.*ovsskit.heic"):
        read_image(tmp_path / "some.heic")


def test_a_deep_file_is_as_bounded_as_others(tmp_path: Path) -> None:
    for name, write in (
        ("tif", by_tifffile(TWELVE[..., :3], **tags("rgb"))),
        ("png", by_codec(imagecodecs.png_encode, TWELVE[..., 0])),
        ("jp2", by_codec(imagecodecs.jpeg2k_encode, TWELVE[..., 0], level=0)),
    ):
        write(tmp_path / f"some.{name}")
        with pytest.raises(BadImage, match="30 x 20 pixels, more than the 599"):
            read_image(tmp_path / f"some.{name}", Reading(599))
    by_tifffile(BYTES, **tags("minisblack", planarconfig="contig"))(tmp_path / "six.tif")
    with pytest.raises(BadImage, match="red, green and blue"):
        read_image(tmp_path / "six.tif", Reading(600))
