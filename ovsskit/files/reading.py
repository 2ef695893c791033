"""Read files from outside: bounded in size, UTF-8 text or JSON of a known shape."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

MOST_BYTES = 64_000_000
"""The largest text that is read: ten times all classes' presence in a hundred thousand images."""

LONGEST_NAME = 255
"""Bytes of a name of a file or folder, on all common systems."""


class Unreadable(ValueError):
    """Say why a file cannot be read, in words that go on a sentence: "it is not UTF-8 text"."""


def why_no_path(text: str) -> str:
    """Say why no file can have this path (systems raise errors for it), or return an empty text."""
    if "\0" in text:
        return "it holds a null byte"
    if any(len(part.encode("utf-8", "replace")) > LONGEST_NAME for part in text.split("/")):
        return f"a name has more than {LONGEST_NAME} bytes"
    try:
        Path(text).expanduser()
    except RuntimeError:
        return "there is no such user"
    return ""


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text of a UTF-8 file, without a byte-order mark and with plain line ends.

    Raises:
        Unreadable: the file is missing, unreadable, larger than `most` bytes, or no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    except ValueError as error:  # a null byte in the name
        raise Unreadable("its name holds a null byte") from error
    if len(content) > most:
        raise Unreadable(f"it is larger than {most / 1e6:g} MB")
    try:
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        raise Unreadable("it is not UTF-8 text") from error


def read_json(path: Path, kind: Any, most: int = MOST_BYTES) -> Any:
    """Return the content of a JSON file as a type, such as `dict[str, list[str]]` or a dataclass.

    Raises:
        Unreadable: the file cannot be read, is not JSON, or holds something else.
    """
    return parse_json(read_text(path, most), kind)


def parse_json(text: str, kind: Any) -> Any:
    """Return a JSON text as a kind of value.

    Raises:
        Unreadable: the text is not JSON, or holds something else.
    """
    try:
        return _adapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
        raise Unreadable(f"at `{place}`: {message}" if place else message) from error


@cache
def _adapter(kind: Any) -> Any:  # a TypeAdapter, which beartype does not know
    return TypeAdapter(kind)
