"""Say what was written into a folder: each file by its path, its size and a digest."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import xxhash
from pydantic import AfterValidator, TypeAdapter

from ovsskit.files.remote_folder import RemoteFolder


class Written(NamedTuple):
    """Say what was written: the size in bytes, and a digest of the content."""

    size: int
    digest: str


def see_inside(name: str) -> str:
    """Return the path of a file in a folder.

    Raises:
        ValueError: it leads out of the folder.
    """
    if ".." in (parts := PurePosixPath(name).parts) or parts[:1] in ((), ("/",)):
        raise ValueError(f"`{name}` is not inside the folder")
    return name


Files = dict[Annotated[str, AfterValidator(see_inside)], Written]
"""What was written, by its path in the folder."""

read_files = TypeAdapter(Files).validate_python
"""Read such a table back from what JSON gave; a ValueError says that it is none."""


def measure(path: Path) -> Written:
    """Return size and digest of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()
        return Written(file.tell(), digest)


def measure_text(text: str) -> Written:
    """Return size and digest of a text as `write_text` writes it."""
    content = text.encode()
    return Written(len(content), xxhash.xxh3_128_hexdigest(content))


def measure_remote(remote: RemoteFolder, name: str) -> Written | None:
    """Return size and digest of a remote file; None if it is not there."""
    with TemporaryDirectory(prefix="ovsskit-") as folder:
        path = Path(folder, "file")
        return measure(path) if remote.bring(name, path) else None
