"""A folder of ours that is there, on this machine or remote.

A remote folder (`s3://bucket/found`) has a private working folder on this machine. Files are
written there, put into the remote folder, and removed; the few that a command goes on from stay as
long as it is at work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, ClassVar

from ovsskit.errors import CannotWrite, Place
from ovsskit.files.cache import cache_folder
from ovsskit.files.own.local_folder import LocalFolder, part_name
from ovsskit.files.own.written import Written, measure_remote
from ovsskit.files.remote import meant_path
from ovsskit.files.remote_folder import open_remote
from ovsskit.files.remote_journal import RemoteJournal
from ovsskit.files.shard import WHOLE, Shard


class OpenFolder(LocalFolder):
    """Write into a folder of ours that is there; `record` is the file that marks it.

    `where` is the folder as a person knows it, `path` where it is on this machine: of a `remote`
    one the working folder, which all parts of a command share that do one `shard`.
    """

    state: ClassVar[Sequence[str] | None] = None
    """The files beside the record and the log from which a command goes on; None where a remote
    folder of this kind is refused."""
    log: ClassVar[str] = ""
    """The file to which lines are added; in a remote folder they are in a journal until the file is
    written as a whole or removed."""
    session: RemoteJournal | None = None

    def __init__(self, path: Path, record: str, shard: Shard = WHOLE) -> None:
        self.where, self.record, self.shard = meant_path(path), record, shard
        self.remote = open_remote(path)
        is_local = self.remote is None
        super().__init__(self.where if is_local else _working_folder(self.where, shard))

    @property
    def kept(self) -> list[str]:
        """Return the files that a command reads again once they are in a remote folder."""
        return [name for name in (self.record, self.log, *(self.state or ())) if name]

    def write(
        self,
        name: str,
        write: Callable[[BinaryIO], object],
        *,
        flush: bool = False,
        here: bool = False,
    ) -> Written:
        """Write a whole file by its path in the folder; return its entry. `flush` syncs the disk.

        What is only to be `here` is not put into a remote folder.

        Raises:
            CannotWrite: the disk is full, the folder is gone or not reached any more, or a symbolic
                link is in the way.
        """
        if here or self.remote is None or name in self.kept:
            written = super().write(name, write, flush=flush)
            if not here:
                self.carry(name)
            return written
        part = part_name(PurePosixPath(name).suffix)
        written = super().write(part, write, flush=flush)
        try:
            self.carry(name, self.path / part)
        finally:
            (self.path / part).unlink(missing_ok=True)
        return written

    def carry(self, name: str, path: Path | None = None) -> None:
        """Put a file of this name, or what stands for it, where a remote folder has it.

        What `write_by_path` wrote may change from then on, and is put by this alone.

        Raises:
            CannotWrite: it cannot be put.
        """
        if self.remote is not None:
            self.remote.put(name, path or self.path / name)
        self._settle(name)

    def append(self, name: str, line: str) -> None:
        """Add a line to a text file; see `LocalFolder.append`."""
        super().append(name, line)
        if self.session is not None:
            self.session.append(line)

    def link(self, name: str, target: Path) -> None:
        """Make a symbolic link to a file elsewhere, or replace one.

        Raises:
            CannotWrite: the system makes no links, or the folder is gone or remote.
        """
        if self.remote is not None:
            what = "A remote folder cannot hold links."
            raise CannotWrite(what, fix="Give --copy-images.", where=Place(str(self.where)))
        super().link(name, target)

    def delete(self, name: str, *, here: bool = False) -> None:
        """Remove a file that was written, if it is there, or what is only `here` of it.

        Raises:
            CannotWrite: it cannot be removed.
        """
        super().delete(name)
        if self.remote is not None and not here:
            self.remote.delete(name)
        self._settle(name)

    def holds(self, name: str, written: Written, *, verify: bool = False) -> bool:
        """Tell whether a plain file is unchanged in size and, if asked, in content."""
        if self.remote is None:
            return super().holds(name, written, verify=verify)
        return self.remote.size_of(name) == written.size and (
            not verify or measure_remote(self.remote, name) == written
        )

    def _settle(self, name: str) -> None:
        """Forget the journal of a file that was written as a whole or removed."""
        if self.session is not None and name == self.log:
            self.session.clear()


def _working_folder(where: Path, shard: Shard) -> Path:
    """Return where the files of a remote folder are made, which nobody else reads."""
    digest = hashlib.sha256(str(where).encode()).hexdigest()[:16]
    path = cache_folder() / "outputs" / f"{digest}-{shard.label}"
    with suppress(OSError):  # whoever uses it says what is wrong
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path.absolute()
