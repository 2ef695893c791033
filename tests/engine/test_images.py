from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import imagecodecs
import numpy
import PIL.Image
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovsskit.engine.formats import FORMATS
from ovsskit.engine.images import read_encoded, read_image
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.errors import BadImage
from ovsskit.files.decoding import adopt_warnings

SOME = numpy.random.default_rng(0).integers(0, 256, (6, 9, 3), "uint8")


def bytes_of(source: Any, reading: Reading = AS_USUAL) -> list[int]:
    pixels: list[int] = read_image(source, reading).pixels.reshape(-1).tolist()
    return pixels


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp"])
def test_lossless_formats_give_their_bytes(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"some.{ending}"
    PIL.Image.fromarray(SOME).save(path, **({"lossless": True} if ending == "webp" else {}))
    image = read_image(path)
    assert image.name == "some"
    assert image.size == (6, 9)
    assert image.data.dtype == torch.float32
    assert numpy.array_equal(image.pixels.numpy(), SOME)


def test_jpeg_whatever_its_name_says(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8), (200, 10, 30)).save(tmp_path / "odd.png", "JPEG", quality=100)
    assert numpy.allclose(read_image(tmp_path / "odd.png").pixels.numpy(), (200, 10, 30), atol=3)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_images_upright(tmp_path: Path, turn: int) -> None:
    stored = {
        1: SOME,
        2: SOME[:, ::-1],
        3: SOME[::-1, ::-1],
        4: SOME[::-1],
        5: SOME.transpose(1, 0, 2),
        6: numpy.rot90(SOME),
        7: SOME[::-1, ::-1].transpose(1, 0, 2),
        8: numpy.rot90(SOME, -1),
    }[turn]
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    PIL.Image.fromarray(numpy.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    assert numpy.array_equal(read_image(tmp_path / "turned.png").pixels.numpy(), SOME)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (0, 0, 0, 0), (255, 255, 255)),
        ("LA", (0, 0), (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 0x8123, (0x81, 0x81, 0x81)),
    ],
)
def test_modes(tmp_path: Path, mode: str, colour: Any, expected: tuple[int, int, int]) -> None:
    path = tmp_path / "some.tiff"
    PIL.Image.new(mode, (3, 2), colour).save(path)
    assert bytes_of(path) == list(expected) * 6


def test_palette_with_a_hole(tmp_path: Path) -> None:
    image = PIL.Image.fromarray(numpy.array([[0, 1]], "uint8"))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "some.png", transparency=1)
    assert bytes_of(tmp_path / "some.png") == [255, 0, 0, 255, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_the_bytes_of_a_file(kind: str) -> None:
    image = read_encoded(encoded(kind), "table.parquet, row 7", "seven")
    assert numpy.array_equal(image.pixels.numpy(), SOME)
    assert image.name == "seven"
    with pytest.raises(BadImage, match="table.parquet, row 7.*\n.*known format"):
        read_encoded(b"no image", "table.parquet, row 7")


def test_arrays_and_pil_images() -> None:
    assert bytes_of(SOME) == SOME.reshape(-1).tolist()
    assert bytes_of(SOME[..., 0]) == SOME[..., [0, 0, 0]].reshape(-1).tolist()
    assert bytes_of(PIL.Image.fromarray(SOME)) == SOME.reshape(-1).tolist()
    assert read_image(SOME).name == "image"


def huge_png(side: int) -> bytes:
    """Say in its header to be huge, and hold nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def broken(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "float":
        PIL.Image.new("F", (4, 4), 7.0).save(file, "TIFF")
    elif kind == "icon":
        PIL.Image.new("RGB", (16, 16)).save(file, "ICO")
    elif kind in ("cut", "stump"):
        PIL.Image.effect_noise((64, 64), 90).save(file, "JPEG")
        return file.getvalue()[: -600 if kind == "cut" else 30]
    return {
        "empty": b"",
        "text": b"no image",
        "large": huge_png(9_000),
        "bomb": huge_png(100_000),
    }.get(kind, file.getvalue())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "The file is empty"),
        ("text", "not an image of a known format"),
        ("icon", "not an image of a known format"),
        ("float", "go from 7 to 7, and nothing says which is white"),
        ("cut", "broken: image file is truncated"),
        ("stump", "not an image of a known format|broken"),
        ("large", r"9000 x 9000 pixels, more than the 50,000,000"),
        ("bomb", "larger than 50,000,000 pixels|100000 x 100000"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(broken(kind))
    with pytest.raises(BadImage, match=message) as caught:
        read_image(path)
    assert str(caught.value.where) == str(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="No such file"):
        read_image(tmp_path / "photo.jpg")
    with pytest.raises(BadImage, match="folder"):
        read_image(tmp_path)


def test_the_bound_may_be_moved() -> None:
    assert len(bytes_of(SOME, Reading(54))) == 54 * 3
    with pytest.raises(BadImage, match="9 x 6 pixels, more than the 53"):
        read_image(SOME, Reading(53))


@given(st.integers(1, 40), st.integers(1, 40), st.binary(min_size=3, max_size=3))
def test_every_size_and_colour_comes_back(height: int, width: int, colour: bytes) -> None:
    pixels = numpy.full((height, width, 3), list(colour), "uint8")
    image = read_image(pixels)
    assert image.size == (height, width)
    assert numpy.array_equal(image.pixels.numpy(), pixels)


def encoded(kind: str) -> bytes:
    deep, file = SOME.astype("uint16") * 16, io.BytesIO()
    if kind == "deep PNG":
        return bytes(imagecodecs.png_encode(deep))
    if kind == "deep JPEG2000":
        return bytes(imagecodecs.jpeg2k_encode(deep, level=0))
    if kind == "deep TIFF":
        tifffile.imwrite(file, deep, photometric="rgb", compression="zlib")
    else:
        PIL.Image.fromarray(SOME).save(file, kind)
    return file.getvalue()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None
)
@given(
    kind=st.sampled_from([*FORMATS, "deep PNG", "deep TIFF", "deep JPEG2000"]),
    cut=st.floats(0, 1),
    flip=st.floats(0, 1),
)
def test_damaged_files_end_well(tmp_path: Path, kind: str, cut: float, flip: float) -> None:
    data = bytearray(encoded(kind))
    data[int(flip * (len(data) - 1))] ^= 0x55
    path = tmp_path / "damaged"
    path.write_bytes(data[: 1 + int(cut * len(data))])
    with suppress(BadImage):
        read_image(path, Reading(10_000))


def test_what_a_decoder_warns_of_is_a_note_with_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "odd.jpg"
    odd = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\xff\xff\xff\xff\x06\0\0\0"
    PIL.Image.new("RGB", (8, 8)).save(path, exif=odd)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        adopt_warnings()
        read_image(path)
    assert "odd.jpg was read, but parts of it are damaged: " in caplog.text
    assert "Corrupt EXIF data" in caplog.text or "Tag data larger than file" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="descriptors of other systems differ")
def test_what_libtiff_prints_belongs_to_the_message(tmp_path: Path) -> None:
    path = tmp_path / "broken.tif"
    PIL.Image.effect_noise((64, 64), 50).save(path, compression="tiff_adobe_deflate")
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    code = (
        "import sys\nfrom ovsskit.cli.streams import open_streams\nopen_streams()\n"
        "from ovsskit.engine.images import read_image\n"
        "try: read_image(sys.argv[1])\nexcept Exception as error: print(error.what)\n"
        "sys.stdout.flush()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert re.match(r"The image is broken: .*decoder error.*, .*[Dd]ecod.*\.\n", done.stdout)
    assert done.stderr == ""
