"""Write files so that none is ever half there under its own name."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ovsskit.errors import BadOutput, CannotWrite, Place

PART = ".part"
"""The ending of files that are still being written."""


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name and rename it once it is whole.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    part = path.with_name(f".{path.name}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            write(file)
        os.replace(part, path)  # noqa: PTH105 - one name to watch in tests of full disks
    except BaseException as error:
        _forget(part)
        if isinstance(error, OSError):
            raise cannot_write(error, path) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole."""
    write_whole(path, lambda file: file.write(text.encode()))


def cannot_write(error: OSError, path: Path) -> CannotWrite:
    """Return the error that tells a person why a file could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = (
        "The disk is full." if full else f"The file cannot be written: {error.strerror or error}."
    )
    fix = f"{'Make room' if full else 'See to the folder'}, then run the same command again: it goes on where it stopped."
    return CannotWrite(what, fix=fix, where=Place(str(path)))


def make_folder(path: Path) -> None:
    """Make a folder and see that files can be written into it.

    Raises:
        BadOutput: it cannot be made or written.
    """
    probe = path / f".probe{PART}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)  # another process may have looked at the same time
    except OSError as error:
        what = f"The output folder cannot be written: {error.strerror or error}."
        raise BadOutput(what, fix="Name another with --out.", where=Place(str(path))) from error


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
