"""A folder of ours: one that a record of ours marks, or an empty one; locked while it is used.

Everything that commands leave goes through here (`run`, `study`, `fit`, `distil`, `eval` and
`export`). So they refuse folders of other people, write and delete only inside, never through a
symbolic link, and notice when the folder is taken away under them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from ovsskit.errors import BadOutput, CannotWrite, Place
from ovsskit.files.own.kinds import is_record, one_of
from ovsskit.files.own.locks import FolderLocks
from ovsskit.files.own.open_folder import OpenFolder
from ovsskit.files.own.owner import see_owner, see_remote_owner
from ovsskit.files.own.traces import LOCK, remove_parts
from ovsskit.files.remote_folder import RemoteFolder
from ovsskit.files.remote_journal import RemoteJournal
from ovsskit.files.shard import WHOLE, Shard
from ovsskit.files.writing import make_folder


class OwnFolder(OpenFolder):
    """Hold our folder, locked; `record` is the file that marks and describes it.

    A shard shares it with the others: it holds a lock of its own while it is at work, and that of
    the folder while it begins, until `let_others`, and within `alone`. A remote folder has no
    locks: only the working folder is held, and what others find is read in their journals.
    """

    may_share: ClassVar[bool] = False
    """Whether shards may share a remote folder of this kind."""

    def __init__(self, path: Path, record: str, shard: Shard = WHOLE) -> None:
        """Make and lock the folder.

        Raises:
            BadOutput: it is not ours, holds something else or a symbolic link, is in use, or cannot
                be written.
        """
        super().__init__(path, record, shard)
        if self.remote is not None:
            self._see_remote_use()
        if shard.is_whole or not (self.path / LOCK).exists():
            self._see_owner()
        make_folder(self.path)
        self._locks = FolderLocks(self, self.where, record, shard)
        self.enter()
        try:
            if not shard.is_whole:
                self._see_owner()  # now that no other shard changes anything
            self._locks.join()
            if not self.others:
                remove_parts(self.path)
            self.session = self._bring(self.remote) if self.remote is not None else None
        except BaseException:
            self._locks.release()
            raise

    @property
    def others(self) -> list[Shard]:
        """Return the other shards that were at work when it was last looked."""
        return self._locks.others

    @property
    def is_claimed(self) -> bool:
        """Tell whether the record is there; nothing else is to be written before it."""
        return is_record(self.path / self.record)

    def may_be_link(self, path: Path) -> bool:
        """Tell whether a symbolic link in the folder is one that was made here."""
        return False

    def let_others(self) -> None:
        """Let other shards begin, and bring the record up to date."""
        self._locks.release()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other shards from the record, which they may have brought up to date.

        Raises:
            CannotWrite: another holds it for too long.
        """
        with self._locks.alone():
            yield

    def close(self) -> None:
        """Let others use the folder."""
        if self.session is not None:
            with suppress(CannotWrite, OSError):  # the command has said what is wrong
                self.session.flush()
                self._clear()
        self._locks.leave()

    def _see_remote_use(self) -> None:
        """Refuse a remote folder where a command, or a shard of it, cannot go on from one."""
        where = Place(str(self.where))
        if self.state is None:
            fix = "Name a folder on this machine with --out, and copy it at the end."
            what = f"The output of {one_of(self.record)} can be written to this machine only."
            raise BadOutput(what, fix=fix, where=where)
        if not (self.shard.is_whole or self.may_share):
            what = f"Shards cannot share the remote folder of {one_of(self.record)}."
            fix = "Leave out --shard, or name a folder on this machine with --out."
            raise BadOutput(what, fix=fix, where=where)

    def _see_owner(self) -> None:
        if self.remote is None:
            see_owner(self.path, self.record, self.may_be_link)

    def _bring(self, remote: RemoteFolder) -> RemoteJournal:
        """Have on this machine what a command goes on from, and nothing else that an earlier left.

        Raises:
            BadOutput: the folder is not ours, or cannot be reached or written.
        """
        try:
            see_remote_owner(remote, self.where, self.record)
            self._clear()
            journal = RemoteJournal(remote, self.shard)
            for name in self.kept:
                remote.bring(name, self.path / name)
            for lines in journal.read():
                with (self.path / self.log).open("ab") as file:
                    file.write(lines)
        except CannotWrite as error:
            raise BadOutput(error.what, fix=error.fix, where=error.where) from error
        return journal

    def _clear(self) -> None:
        """Remove the files of a working folder; what is only here lies in folders in it."""
        for path in self.path.iterdir():
            if path.is_file() and path.name != LOCK:
                path.unlink()
