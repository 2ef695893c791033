"""Tell image files from others by how they begin, before any decoder sees them."""

from __future__ import annotations

from pathlib import Path

from ovsskit.files.remote import RemotePath

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PNG = b"\x89PNG\r\n\x1a\n"
BEGINNINGS = (
    *TIFF_HEADS,
    PNG,
    b"\xff\xd8\xff",  # JPEG
    b"GIF87a",
    b"GIF89a",
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # its codestream alone
)
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
"""What follows `ftyp` in such files (ISO 23008-12, AV1 Image File Format)."""


def is_heif(head: bytes) -> bool:
    """Tell whether a file that begins so is HEIF that is not AVIF."""
    brand, others = head[8:12], head[16:64]
    is_avif = brand in AVIF_BRANDS or any(one in others for one in AVIF_BRANDS)
    return head[4:8] == b"ftyp" and brand in HEIF_BRANDS and not is_avif


def begins_as_image(path: Path) -> bool:
    """Tell whether a file begins as images of the formats that are read do; False if unreadable."""
    try:
        head = path.read_start(64) if isinstance(path, RemotePath) else _start(path)
    except OSError:
        return False
    if head[:2] == b"BM":
        return head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    boxed = head[4:8] == b"ftyp" and head[8:12] in (*HEIF_BRANDS, *AVIF_BRANDS)
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return boxed or is_webp or head.startswith(BEGINNINGS)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)
