"""Write files so that none is ever half there under its own name."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from io import BufferedWriter, UnsupportedOperation
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from ovsskit.errors import BadOutput, CannotWrite, Place

PART = ".part"
"""The ending of files that are still being written."""


def write_whole(
    path: Path,
    write: Callable[[BinaryIO], object],
    *,
    part: Path | None = None,
    flush: bool = True,
) -> None:
    """Write a file under a temporary name, `part` or one beside it, and rename it once it is whole.

    With `flush` its content is on the disk before the name is: after a power cut the old file is
    there or the new one.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    beside = path.with_name(f".{uuid4().hex}{PART}")
    try:
        if part is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        part = part or beside
        # A new file: nothing is written through a link.
        with part.open("xb", buffering=0) as raw, _Whole(raw) as file:
            write(file)
            file.flush()
            if flush:
                os.fsync(raw.fileno())
        os.replace(part, path)  # noqa: PTH105 - one name to watch in tests of full disks
    except BaseException as error:
        with suppress(OSError):  # there is none, or the disk is in trouble
            (part or beside).unlink()
        if isinstance(error, OSError):
            raise cannot_write(error, path) from error
        raise


class _Whole(BufferedWriter):
    """Write every byte, or raise: to a number of a file Pillow writes less where a disk is full."""

    def fileno(self) -> int:
        """Give no number of the file."""
        raise UnsupportedOperation("fileno")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole."""
    write_whole(path, lambda file: file.write(text.encode()))


def see_free(path: Path, *, force: bool) -> None:
    """Check that nothing is replaced that a person did not ask to replace.

    Raises:
        BadOutput: there is something of this name, and it is not to be replaced.
    """
    if os.path.lexists(path) and not force:
        fix = "Choose another name, or give --force."
        raise BadOutput("The file already exists.", fix=fix, where=Place(str(path)))


def see_same(source: Path, target: Path) -> bool:
    """Tell whether a copy of a file is at another place already.

    Raises:
        BadOutput: something else is there.
    """
    if not os.path.lexists(target):
        return False
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return True
    what = f"Another file is in the place of the copy of `{source.name}`."
    raise BadOutput(what, fix="Write into another folder.", where=Place(str(target)))


def cannot_write(error: OSError, path: Path) -> CannotWrite:
    """Return the error that tells a person why a file could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = (
        "The disk is full." if full else f"The file cannot be written: {error.strerror or error}."
    )
    fix = (
        f"{'Make room' if full else 'Check the folder'}, then run the same command again: it "
        "resumes where it stopped."
    )
    return CannotWrite(what, fix=fix, where=Place(str(path)))


def make_folder(path: Path) -> None:
    """Make a folder and check that files can be written into it.

    Raises:
        BadOutput: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        what = f"The output folder cannot be written: {error.strerror or error}."
        raise BadOutput(what, fix="Name another with --out.", where=Place(str(path))) from error
