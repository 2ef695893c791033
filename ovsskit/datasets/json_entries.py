"""Walk through a large JSON file entry by entry, in little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ovsskit.files.reading import Unreadable

CHUNK = 1 << 20
MOST_BYTES = 64_000_000
"""The largest entry that is read."""
BLANK = " \t\r\n"
ENDS = frozenset(f"{BLANK},:]}}")
"""What may follow a value."""


class Entry(NamedTuple):
    """Hold an entry of a list: the list's key, the value, and its first byte and length."""

    key: str
    value: Any
    start: int
    length: int


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield every entry of every list in the object that a JSON file is.

    Raises:
        Unreadable: it cannot be read, is cut off, or is not a JSON object.
    """
    try:
        with path.open("rb") as file:
            yield from _Walk(file).entries()
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    except json.JSONDecodeError as error:
        raise Unreadable(f"it is not JSON, or cut off ({error.msg})") from error
    except RecursionError as error:
        raise Unreadable("its lists are too deep") from error


class _Walk:
    """Know a part of the file as text, and how far it was read.

    The text is latin-1, in which a character is a byte, so that places in it are places in the
    file; the few texts that are needed from such files are ASCII.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.text, self.at, self.before = file, "", 0, 0
        self.decoder = json.JSONDecoder()

    def entries(self) -> Iterator[Entry]:
        if self.next() == "\xef":  # a byte-order mark
            self.at += 3
        self.take("{")
        while self.next() != "}":
            key = self.key()
            if self.next() == "[":
                yield from self.list(key)
            else:
                self.value()
            if self.next() == ",":
                self.at += 1
        self.take("}")

    def key(self) -> str:
        if self.next() != '"':
            raise json.JSONDecodeError("a key is not a text", "", self.before + self.at)
        key, _ = self.value()
        self.take(":")
        return str(key)

    def list(self, key: str) -> Iterator[Entry]:
        self.take("[")
        while self.next() != "]":
            value, start = self.value()
            yield Entry(key, value, start, self.before + self.at - start)
            if self.next() == ",":
                self.at += 1
        self.take("]")

    def next(self) -> str:
        """Return the next character that is not blank, or nothing at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in BLANK:
                self.at += 1
            if self.at < len(self.text) or not self.more():
                return self.text[self.at : self.at + 1]

    def take(self, wanted: str) -> None:
        if self.next() != wanted:
            raise json.JSONDecodeError(f"there is no `{wanted}`", "", self.before + self.at)
        self.at += 1

    def value(self) -> tuple[Any, int]:
        """Return the next value, and where in the file it starts."""
        self.next()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.more():
                    raise
                continue
            if self.text[end : end + 1] not in ENDS and self.more():  # a number may go on
                continue
            start, self.at = self.before + self.at, end
            return value, start

    def more(self) -> bool:
        """Read on: as much as is pending, so that a large entry is not decoded often."""
        pending = len(self.text) - self.at
        if pending > MOST_BYTES:
            raise Unreadable(f"an entry is larger than {MOST_BYTES / 1e6:g} MB")
        chunk = self.file.read(max(CHUNK, pending))
        self.before += self.at
        self.text, self.at = self.text[self.at :] + chunk.decode("latin-1"), 0
        return bool(chunk)
