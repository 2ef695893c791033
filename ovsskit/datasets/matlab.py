"""Read a mask from a MATLAB file."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.extra import need
from ovsskit.errors import BadFile, Place, first_of
from ovsskit.files.inputs import MAX_PIXELS

MOST_BYTES = 64_000_000
"""The largest file that is read, and the most to which one of its variables may unpack."""
HEADER, COMPRESSED = 128, 15
"""Bytes before the first variable of a file of version 5, and the type of a packed one."""


def read_matlab(path: Path, variable: str) -> Int[numpy.ndarray, "h w"]:
    """Return a matrix of whole numbers; no other variable of the file is read.

    Raises:
        MissingExtra: scipy is not installed.
        BadFile: the file cannot be read, is too large, or has no such matrix.
    """
    scipy_io = need("scipy.io", "Reading MATLAB files")
    where = Place(str(path))
    try:
        content = _read(path)
        held = {name: (shape, kind) for name, shape, kind in scipy_io.whosmat(io.BytesIO(content))}
        if variable not in held:
            there = f"It holds: {first_of(list(held))}."
            what = f"The MATLAB file has no variable `{variable}`."
            raise BadFile(what, there=there, where=where)
        shape, kind = held[variable]
        is_number = "int" in kind or kind in ("double", "single", "logical")
        if len(shape) != 2 or shape[0] * shape[1] > MAX_PIXELS or not is_number:
            what = f"The variable `{variable}` is not a mask: it is {kind}, {shape}."
            raise BadFile(what, where=where)
        found = scipy_io.loadmat(io.BytesIO(content), variable_names=[variable])[variable]
        numbers = numpy.asarray(found).astype("int32")
        if (numbers != found).any():
            what = f"The variable `{variable}` holds numbers that are not whole."
            raise BadFile(what, where=where)
        return numbers
    except BadFile:
        raise
    except Exception as error:  # the reader of broken files raises whatever it stumbles over
        what = f"The MATLAB file cannot be read: {' '.join(str(error).split())[:200]}."
        raise BadFile(what, where=where) from error


def _read(path: Path) -> bytes:
    """Return the content of a file of which no variable unpacks to too much.

    Raises:
        ValueError: one does, or the file is too large.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES / 1e6:g} MB")
    order = ">" if content[HEADER - 2 : HEADER] == b"MI" else "<"
    at = HEADER
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if kind == COMPRESSED:
            packed = memoryview(content)[at + 8 : at + 8 + size]
            if len(zlib.decompressobj().decompress(packed, MOST_BYTES + 1)) > MOST_BYTES:
                raise ValueError(f"a variable is larger than {MOST_BYTES / 1e6:g} MB")
        at += 8 + size
    return content
