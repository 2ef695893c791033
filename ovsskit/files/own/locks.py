"""The locks of a folder: one command holds it alone, or the shards of one share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ovsskit.errors import BadOutput, CannotWrite, Place
from ovsskit.files.own.kinds import KINDS, one_of
from ovsskit.files.own.local_folder import LocalFolder
from ovsskit.files.own.traces import LOCK, PARTS, SHARD_LOCK, SHARDS, remove_parts
from ovsskit.files.shard import Shard

PATIENCE = 120.0
"""Seconds that a shard waits for others which bring the record up to date."""


class FolderLocks:
    """Hold the lock of a folder and, for a shard, one of its own while it is at work.

    `where` is the folder as a person knows it, and `record` the file that marks it; `others` are
    the shards that were at work when it was last looked.
    """

    def __init__(self, folder: LocalFolder, where: Path, record: str, shard: Shard) -> None:
        """Lock the folder, which is there.

        Raises:
            BadOutput: it is in use.
        """
        self.folder, self.where, self.record, self.shard = folder, where, record, shard
        self.others: list[Shard] = []
        self._lock = FileLock(folder.path / LOCK)
        self._own: FileLock | None = None
        try:
            self._lock.acquire(timeout=0 if shard.is_whole else PATIENCE)
        except Timeout as error:
            raise self._in_use(f"Another {KINDS[record]}") from error

    def join(self) -> None:
        """See which shards are at work, and be one of them.

        Raises:
            BadOutput: shards of another count are, or this one is already.
        """
        self.others = list(self._living())
        for other in self.others:
            if self.shard.is_whole or other.count != self.shard.count or other == self.shard:
                raise self._in_use(f"Shard {other} of {one_of(self.record)}")
        if not self.shard.is_whole:
            self._own = FileLock(self.folder.place(f"{SHARDS}/{self.shard.label}.lock"))
            self._own.acquire(timeout=0)

    def release(self) -> None:
        """Let other shards have the folder; the lock of this one stays."""
        self._lock.release()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other shards from the record, which they may have brought up to date.

        Raises:
            CannotWrite: another holds it for too long.
        """
        try:
            self._lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            what = "Another shard has kept the record locked for too long."
            fix = "Run the same command again: it resumes where it stopped."
            raise CannotWrite(what, fix=fix, where=Place(str(self.where))) from error
        try:
            self.others = [one for one in self._living() if one != self.shard]
            yield
        finally:
            self._lock.release()

    def leave(self) -> None:
        """Let others use the folder; the last one removes what killed shards left."""
        if self._own is not None:
            self._own.release()
        with suppress(Timeout, OSError):  # others are at it, or the disk is in trouble
            self._lock.acquire(timeout=0)
            if not list(self._living()):
                remove_parts(self.folder.path)
                for name in (PARTS, SHARDS):
                    with suppress(OSError):  # there is none
                        (self.folder.path / name).rmdir()
        self._lock.release(force=True)

    def _living(self) -> Iterator[Shard]:
        """Yield the shards that are at work; the locks of others are removed."""
        folder = self.folder.path / SHARDS
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if found := SHARD_LOCK.fullmatch(path.name):
                lock = FileLock(path)
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    yield Shard(int(found[1]), int(found[2]))
                else:
                    lock.release()
                    path.unlink(missing_ok=True)

    def _in_use(self, who: str) -> BadOutput:
        fix = "Wait until it ends, or name another with --out."
        what = f"{who} is writing into this folder."
        return BadOutput(what, fix=fix, where=Place(str(self.where)))
