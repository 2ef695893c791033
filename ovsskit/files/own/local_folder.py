"""A folder of this machine, into which whole files are written, never through a symbolic link."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from uuid import uuid4

from ovsskit.errors import CannotWrite, Place
from ovsskit.files.own.traces import PARTS
from ovsskit.files.own.written import Written, measure, see_inside
from ovsskit.files.writing import PART, cannot_write, write_whole


class LocalFolder:
    """Write and delete inside a folder of this machine; notice when it is taken away."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def enter(self) -> None:
        """Hold on to the folder, which is there now."""
        self._real, self._here = Path(os.path.realpath(self.path)), self.path.stat()

    def write(
        self, name: str, write: Callable[[BinaryIO], object], *, flush: bool = False
    ) -> Written:
        """Write a whole file by its path in the folder; return its entry. `flush` syncs the disk.

        Raises:
            CannotWrite: the disk is full, the folder is gone, or a symbolic link is in the way.
        """
        path = self.place(name)
        with self.telling(path):
            write_whole(path, write, part=self.place(part_name()), flush=flush)
            return measure(path)

    def write_text(self, name: str, text: str, *, flush: bool = False) -> Written:
        """Write a UTF-8 text file whole; see `write`."""
        return self.write(name, lambda file: file.write(text.encode()), flush=flush)

    def write_by_path(self, name: str, write: Callable[[Path], object]) -> Path:
        """Have a whole file written under a temporary name, sync the disk, and rename it.

        Raises:
            CannotWrite: the disk is full, the folder is gone, or a symbolic link is in the way.
        """
        path, part = self.place(name), self.place(part_name())
        with self.telling(path):
            try:
                write(part)
                with part.open("rb+") as file:
                    os.fsync(file.fileno())
                os.replace(part, path)  # noqa: PTH105 - as in `write_whole`
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return path

    def append(self, name: str, line: str) -> None:
        """Add a line to a text file.

        Raises:
            CannotWrite: the disk is full, the folder is gone, or a symbolic link is in the way.
        """
        path = self.place(name)
        if path.is_symlink():
            raise self._is_link(name)
        with self.telling(path), path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def link(self, name: str, target: Path) -> None:
        """Make a symbolic link to a file elsewhere, or replace one.

        Raises:
            CannotWrite: the system makes no links, or the folder is gone.
        """
        path, part = self.place(name), self.place(part_name())
        with self.telling(path):
            part.symlink_to(target)
            part.replace(path)

    def delete(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            CannotWrite: it cannot be removed.
        """
        path = self.place(name)
        with self.telling(path):
            path.unlink(missing_ok=True)

    def prune(self, name: str) -> None:
        """Remove a folder that was made here, and those around it, as far as they are empty."""
        folder = self.path / see_inside(name)
        while folder != self.path:
            try:
                folder.rmdir()
            except OSError:  # it is not empty, or not there
                return
            folder = folder.parent

    def holds(self, name: str, written: Written, *, verify: bool = False) -> bool:
        """Tell whether a plain file is unchanged in size and, if asked, in content."""
        path = self.path / name
        try:
            status = path.lstat()
            return (
                stat.S_ISREG(status.st_mode)
                and status.st_size == written.size
                and (not verify or measure(path) == written)
            )
        except OSError:
            return False

    def place(self, name: str) -> Path:
        """Return where a file goes, with its folder made.

        Raises:
            CannotWrite: the folder is gone, cannot be made, or is a symbolic link now.
        """
        parts = PurePosixPath(see_inside(name)).parts
        self.see_there()
        folder = self.path
        for index, part in enumerate(parts[:-1], 1):
            folder = folder / part
            with self.telling(folder):
                folder.mkdir(parents=True, exist_ok=True)  # others may tidy up around it
            if Path(os.path.realpath(folder)) != self._real.joinpath(*parts[:index]):
                raise self._is_link("/".join(parts[:index]))
        return folder / parts[-1]

    @contextmanager
    def telling(self, path: Path) -> Iterator[None]:
        """Turn a system error into a sentence, which says so if the folder is gone."""
        try:
            yield
        except CannotWrite:
            self.see_there()
            raise
        except OSError as error:
            self.see_there()
            raise cannot_write(error, path) from error

    def see_there(self) -> None:
        """Check that the folder is the one that was entered.

        Raises:
            CannotWrite: it is gone, or another is in its place.
        """
        try:
            same = os.path.samestat(self.path.stat(), self._here)
        except OSError:
            same = False
        if not same:
            what = "The output folder was removed while it was being written."
            raise CannotWrite(what, fix="Run the same command again.", where=Place(str(self.path)))

    def _is_link(self, name: str) -> CannotWrite:
        what = f"`{name}` is a symbolic link now, and nothing is written through links."
        return CannotWrite(what, fix="Remove the link.", where=Place(str(self.path / name)))


def part_name(ending: str = "") -> str:
    """Return a new name in the folder for what is still being written."""
    return f"{PARTS}/{uuid4().hex}{PART}{ending}"
