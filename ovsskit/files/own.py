"""A folder of ours: one that a record of ours marks, or an empty one; locked while it is used.

Everything that commands leave goes through here (`run`, `study`, `fit`, `distil`, `eval` and
`export`). So they refuse folders of other people, write and delete only inside, never through a
symbolic link, and notice when the folder is taken away under them.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, BinaryIO, NamedTuple
from uuid import uuid4

import xxhash
from filelock import FileLock, Timeout
from pydantic import AfterValidator, TypeAdapter

from ovsskit.errors import BadOutput, CannotWrite, Place
from ovsskit.files.remote import address_of
from ovsskit.files.shard import WHOLE, Shard
from ovsskit.files.writing import PART, cannot_write, make_folder, write_text, write_whole

RUN, STUDY, FIT, EVAL = "run.json", "study.json", "fit.json", "eval.json"
EXPORT, DISTIL = "export.json", "distil.json"
KINDS = {
    RUN: "run",
    STUDY: "study",
    FIT: "tuning",
    EVAL: "evaluation",
    EXPORT: "export",
    DISTIL: "student",
}
"""The record that marks a folder as ours, and what the folder then holds."""

LOCK, PARTS, SHARDS = ".lock", ".parts", ".shards"
FIX = "Name another folder with --out."

PART_NAME = re.compile(rf"\.?[0-9a-f]{{32}}{re.escape(PART)}(-journal)?")
"""The names of what is still being written, and of what SQLite keeps beside it."""

SHARD_LOCK = re.compile(r"(\d+)-of-(\d+)\.lock")
"""The names of files that shards hold locked while they are at work."""
PATIENCE = 120.0
"""Seconds that a shard waits for others which bring the record up to date."""

HEAD = re.compile(rb'\s*\{\s*"ovsskit"\s*:')
"""How every record of ours begins."""


TAG = "CACHEDIR.TAG"
TAGGED = """Signature: 8a477f597d28d172789f06886806bc55
# Kept by ovsskit. Whatever is missing here is made again.
"""
"""Mark of cache folders (bford.info/cachedir), with a line that names this package."""


class Written(NamedTuple):
    """Say what was written: the size in bytes, and a digest of the content."""

    size: int
    digest: str


def _see_inside(name: str) -> str:
    if ".." in (parts := PurePosixPath(name).parts) or parts[:1] in ((), ("/",)):
        raise ValueError(f"`{name}` is not inside the folder")
    return name


Files = dict[Annotated[str, AfterValidator(_see_inside)], Written]
"""What was written, by its path in the folder."""

read_files = TypeAdapter(Files).validate_python
"""Read such a table back from what JSON gave; a ValueError says that it is none."""


class OpenFolder:
    """Write into a folder of ours that is there; `record` is the file that marks it."""

    def __init__(self, path: Path, record: str) -> None:
        self.path, self.record = path, record
        self._real, self._here = Path(os.path.realpath(path)), path.stat()

    def write(
        self, name: str, write: Callable[[BinaryIO], object], *, flush: bool = False
    ) -> Written:
        """Write a whole file by its path in the folder; return its entry. `flush` syncs the disk.

        Raises:
            CannotWrite: the disk is full, the folder is gone, or a symbolic link is in the way.
        """
        path = self._place(name)
        part = self._place(f"{PARTS}/{uuid4().hex}{PART}")
        with self.telling(path):
            write_whole(path, write, part=part, flush=flush)
            return measure(path)

    def write_text(self, name: str, text: str, *, flush: bool = False) -> Written:
        """Write a UTF-8 text file whole; see `write`."""
        return self.write(name, lambda file: file.write(text.encode()), flush=flush)

    def write_by_path(self, name: str, write: Callable[[Path], object]) -> Path:
        """Have a whole file written under a temporary name, sync the disk, and rename it.

        Raises:
            CannotWrite: the disk is full, the folder is gone, or a symbolic link is in the way.
        """
        path = self._place(name)
        part = self._place(f"{PARTS}/{uuid4().hex}{PART}")
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
        path = self._place(name)
        if path.is_symlink():
            raise self._link(name)
        with self.telling(path), path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def link(self, name: str, target: Path) -> None:
        """Make a symbolic link to a file elsewhere, or replace one.

        Raises:
            CannotWrite: the system makes no links, or the folder is gone.
        """
        path = self._place(name)
        part = self._place(f"{PARTS}/{uuid4().hex}{PART}")
        with self.telling(path):
            part.symlink_to(target)
            part.replace(path)

    def delete(self, name: str) -> None:
        """Remove a file that was written here, if it is there."""
        path = self._place(name)
        with self.telling(path):
            path.unlink(missing_ok=True)

    def prune(self, name: str) -> None:
        """Remove a folder that was made here, and those around it, as far as they are empty."""
        folder = self.path / _see_inside(name)
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

    def _place(self, name: str) -> Path:
        """Return where a file goes, with its folder made."""
        parts = PurePosixPath(_see_inside(name)).parts
        self._see_folder()
        folder = self.path
        for index, part in enumerate(parts[:-1], 1):
            folder = folder / part
            with self.telling(folder):
                folder.mkdir(parents=True, exist_ok=True)  # others may tidy up around it
            if Path(os.path.realpath(folder)) != self._real.joinpath(*parts[:index]):
                raise self._link("/".join(parts[:index]))
        return folder / parts[-1]

    @contextmanager
    def telling(self, path: Path) -> Iterator[None]:
        """Turn a system error into a sentence, which says so if the folder is gone."""
        try:
            yield
        except CannotWrite:
            self._see_folder()
            raise
        except OSError as error:
            self._see_folder()
            raise cannot_write(error, path) from error

    def _see_folder(self) -> None:
        try:
            same = os.path.samestat(self.path.stat(), self._here)
        except OSError:
            same = False
        if not same:
            what = "The output folder was taken away while it was being written."
            raise CannotWrite(what, fix="Run the same command again.", where=Place(str(self.path)))

    def _link(self, name: str) -> CannotWrite:
        what = f"`{name}` is a symbolic link now, and nothing is written through links."
        return CannotWrite(what, fix="Remove the link.", where=Place(str(self.path / name)))


class OwnFolder(OpenFolder):
    """Hold our folder, locked; `record` is the file that marks and describes it.

    A shard shares it with the others: it holds a lock of its own while it is at work, and that of
    the folder while it begins, until `let_others`, and within `alone`.
    """

    def __init__(self, path: Path, record: str, shard: Shard = WHOLE) -> None:
        """Make and lock the folder.

        Raises:
            BadOutput: it is not ours, holds something else or a symbolic link, is in use, or cannot
                be written.
        """
        self.path, self.record, self.shard = path, record, shard
        if address := address_of(path):
            fix = "Name a folder of this machine with --out, and copy it when all is done."
            what = "Results are written to this machine, or to file systems that it mounts, alone."
            raise BadOutput(what, fix=fix, where=Place(address))
        if shard.is_whole or not (path / LOCK).exists():
            self._see_owner()
        make_folder(path)
        self._lock = FileLock(path / LOCK)
        try:
            self._lock.acquire(timeout=0 if shard.is_whole else PATIENCE)
        except Timeout as error:
            raise self._in_use(f"Another {KINDS[record]}") from error
        super().__init__(path, record)
        try:
            if not shard.is_whole:
                self._see_owner()  # now that no other shard changes anything
            self.others = self._join()
        except BaseException:
            self._lock.release()
            raise
        if not self.others:
            for part in _parts(path):
                part.unlink(missing_ok=True)

    def close(self) -> None:
        """Let others use the folder."""
        if self._own is not None:
            self._own.release()
        with suppress(Timeout, OSError):  # others are at it, or the disk is in trouble
            self._lock.acquire(timeout=0)
            if not list(self._living()):
                for name in (PARTS, SHARDS):
                    with suppress(OSError):  # there is none
                        (self.path / name).rmdir()
        self._lock.release(force=True)

    def let_others(self) -> None:
        """Let other shards begin, and bring the record up to date."""
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
            what = "Another shard holds the record for too long."
            fix = "Run the same command again: it goes on where it stopped."
            raise CannotWrite(what, fix=fix, where=Place(str(self.path))) from error
        try:
            yield
        finally:
            self._lock.release()

    def _join(self) -> list[Shard]:
        """See which shards are at work, and be one of them; the folder is locked."""
        self._own: FileLock | None = None
        others = list(self._living())
        for other in others:
            if self.shard.is_whole or other.count != self.shard.count or other == self.shard:
                raise self._in_use(f"Shard {other} of {_one(KINDS[self.record])}")
        if not self.shard.is_whole:
            self._own = FileLock(self._place(f"{SHARDS}/{self.shard.label}.lock"))
            self._own.acquire(timeout=0)
        return others

    def _living(self) -> Iterator[Shard]:
        """Yield the shards that are at work; the locks of others are removed."""
        folder = self.path / SHARDS
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
        return BadOutput(what, fix=fix, where=Place(str(self.path)))

    @property
    def is_claimed(self) -> bool:
        """Tell whether the record is there; nothing else is to be written before it."""
        return is_record(self.path / self.record)

    def may_be_link(self, path: Path) -> bool:
        """Tell whether a symbolic link in the folder is one that was made here."""
        return False

    def broken(self) -> BadOutput:
        """Return the error that says that the record cannot be read."""
        what = f"The record of the {KINDS[self.record]} in this folder is broken."
        fix = "Name another folder with --out, or remove this one."
        return BadOutput(what, fix=fix, where=Place(str(self.path / self.record)))

    def _see_owner(self) -> None:
        if not self.path.is_dir():
            return
        kind, where = KINDS[self.record], Place(str(self.path))
        try:
            names = sorted(os.listdir(self.path))  # noqa: PTH208 - names are what is asked for
            link = next((one for one in _links(self.path) if not self.may_be_link(one)), None)
        except OSError as error:
            what = f"The output folder cannot be read: {error.strerror or error}."
            raise BadOutput(what, fix=FIX, where=where) from error
        if self.is_claimed:
            if link is not None:
                what = "A symbolic link is in the folder, and nothing is written through links."
                fix = "Remove the link, or name another folder with --out."
                raise BadOutput(what, fix=fix, where=Place(str(link)))
            return
        if self.record in names:
            raise self.broken()
        other = next((KINDS[name] for name in KINDS if is_record(self.path / name)), None)
        if other is not None:
            what = f"The folder holds {_one(other)}, not {_one(kind)}."
            raise BadOutput(what, fix=FIX, where=where)
        strange = next((name for name in names if not _is_trace(self.path / name)), None)
        if strange is not None:
            what = f"The folder holds files that are of no {kind}."
            there = f"There is `{strange}`, and no `{self.record}`."
            raise BadOutput(what, there=there, fix=FIX, where=where)


def claim_cache(folder: Path, kept: re.Pattern[str]) -> None:
    """Make and mark a cache folder; `kept` matches the names of the files that it holds.

    Raises:
        BadOutput: it holds anything else, or cannot be written.
    """
    make_folder(folder)
    tag = folder / TAG
    try:
        if not tag.is_symlink() and tag.is_file() and tag.read_bytes() == TAGGED.encode():
            return
        names = [one.name for one in folder.iterdir() if not PART_NAME.fullmatch(one.name)]
    except OSError as error:
        what = f"The folder cannot be read: {error.strerror or error}."
        raise BadOutput(what, fix="Name another.", where=Place(str(folder))) from error
    strange = next((name for name in names if not kept.fullmatch(name)), None)
    if strange is not None:
        what = "The folder holds files that were not kept there by ovsskit."
        there = f"There is `{strange}`, and no `{TAG}` of ovsskit."
        raise BadOutput(what, there=there, fix="Name another.", where=Place(str(folder)))
    write_text(tag, TAGGED)


def is_record(path: Path) -> bool:
    """Tell whether a file is a record of ours, by how it begins."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            return HEAD.match(file.read(200)) is not None
    except OSError:
        return False


def is_ours(folder: Path) -> bool:
    """Tell whether a folder was written by one of these commands."""
    return any(is_record(folder / record) for record in KINDS)


def measure(path: Path) -> Written:
    """Return size and digest of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()
        return Written(file.tell(), digest)


def measure_text(text: str) -> Written:
    """Return size and digest of a text as `write_text` writes it."""
    content = text.encode()
    return Written(len(content), xxhash.xxh3_128_hexdigest(content))


def _links(folder: Path) -> Iterator[Path]:
    """Yield the symbolic links in a folder and in its folders."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir():
                yield from _links(Path(entry.path))


def _parts(folder: Path) -> list[Path]:
    """Return what killed commands left half written."""
    parts = folder / PARTS
    if parts.is_symlink() or not parts.is_dir():
        return []
    return [one for one in parts.iterdir() if PART_NAME.fullmatch(one.name)]


def _one(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _is_trace(path: Path) -> bool:
    """Tell whether an entry is all that a command left which ended before it wrote its record."""
    if path.is_symlink():
        return False
    if path.name == PARTS:
        return path.is_dir() and len(_parts(path.parent)) == len(list(path.iterdir()))
    if path.name == SHARDS:
        return path.is_dir() and all(SHARD_LOCK.fullmatch(one.name) for one in path.iterdir())
    return path.name == LOCK and path.is_file() and path.stat().st_size == 0
