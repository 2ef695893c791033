"""Open folders of ours in tests, and see what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ovsskit.files.own.kinds import RUN
from ovsskit.files.own.own_folder import OwnFolder


@contextmanager
def opened(path: Path, record: str = RUN) -> Iterator[OwnFolder]:
    """Hold a folder of ours, and let others use it in the end."""
    folder = OwnFolder(path, record)
    try:
        yield folder
    finally:
        folder.close()


def texts_in(folder: Path) -> dict[str, str]:
    """Return the text of every file of a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }
