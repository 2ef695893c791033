"""A folder of ours: one that a record of ours marks, or an empty one; locked while it is used.

Everything that commands leave goes through here (`run`, `study`, `fit`, `distil`, `eval` and
`export`). So they refuse folders of other people, write and delete only inside, never through a
symbolic link, and notice when the folder is taken away under them.

A remote folder (`s3://bucket/found`) has a private working folder on this machine. Files are
written there, put into the remote folder, and removed; the few that a command goes on from stay as
long as it is at work.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, BinaryIO, ClassVar, NamedTuple
from uuid import uuid4

import xxhash
from filelock import FileLock, Timeout
from pydantic import AfterValidator, TypeAdapter

from ovsskit.errors import BadOutput, CannotWrite, Place
from ovsskit.files.cache import cache_folder
from ovsskit.files.remote import meant_path
from ovsskit.files.remote_folder import RemoteFolder, open_remote
from ovsskit.files.remote_journal import JOURNAL, RemoteJournal
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

PART_NAME = re.compile(rf"\.?[0-9a-f]{{32}}{re.escape(PART)}(-journal|\.\w+)?")
"""The names of what is still being written or on its way, and of what SQLite keeps beside it."""

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
    """Write into a folder of ours that is there; `record` is the file that marks it.

    `where` is the folder as a person knows it, `path` where it is on this machine: of a `remote`
    one the working folder, which all parts of a command share that do one `shard`.
    """

    state: ClassVar[Sequence[str] | None] = None
    """The files beside the record and the log from which a command goes on; None where a remote
    folder of this kind is refused."""
    may_share: ClassVar[bool] = False
    """Whether shards may share a remote folder of this kind."""
    log: ClassVar[str] = ""
    """The file to which lines are added; in a remote folder they are in a journal until the file is
    written as a whole or removed."""
    session: RemoteJournal | None = None

    def __init__(self, path: Path, record: str, shard: Shard = WHOLE) -> None:
        self.where, self.record, self.shard = meant_path(path), record, shard
        self.remote = open_remote(path)
        self.path = self.where if self.remote is None else _working_folder(self.where, shard)

    def enter(self) -> None:
        """Hold on to the folder, which is there now."""
        self._real, self._here = Path(os.path.realpath(self.path)), self.path.stat()

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
        goes = self.remote is not None and not here and not self._stays(name)
        path = self._part(PurePosixPath(name).suffix) if goes else self._place(name)
        try:
            with self.telling(path):
                write_whole(path, write, part=self._part(), flush=flush)
                written = measure(path)
            if not here:
                self.carry(name, path)
        finally:
            if goes:
                path.unlink(missing_ok=True)
        return written

    def carry(self, name: str, path: Path | None = None) -> None:
        """Put a file of this name, or what stands for it, where a remote folder has it.

        Raises:
            CannotWrite: it cannot be put.
        """
        if self.remote is not None:
            self.remote.put(name, path or self.path / name)
        self._settle(name)

    def write_text(self, name: str, text: str, *, flush: bool = False) -> Written:
        """Write a UTF-8 text file whole; see `write`."""
        return self.write(name, lambda file: file.write(text.encode()), flush=flush)

    def write_by_path(self, name: str, write: Callable[[Path], object]) -> Path:
        """Have a whole file written under a temporary name, sync the disk, and rename it.

        It may change from then on, and only `carry` puts it into a remote folder.

        Raises:
            CannotWrite: the disk is full, the folder is gone, or a symbolic link is in the way.
        """
        path, part = self._place(name), self._part()
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
        path, part = self._place(name), self._part()
        with self.telling(path):
            part.symlink_to(target)
            part.replace(path)

    def delete(self, name: str, *, here: bool = False) -> None:
        """Remove a file that was written, if it is there, or what is only `here` of it.

        Raises:
            CannotWrite: it cannot be removed.
        """
        path = self._place(name)
        with self.telling(path):
            path.unlink(missing_ok=True)
        if self.remote is not None and not here:
            self.remote.delete(name)
        self._settle(name)

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
        if self.remote is not None:
            return self.remote.size_of(name) == written.size and (
                not verify or _measure_remote(self.remote, name) == written
            )
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

    def _stays(self, name: str) -> bool:
        """Tell whether a command reads a file that it has put into a remote folder."""
        return name in (self.record, self.log, *(self.state or ()))

    def _settle(self, name: str) -> None:
        """Forget the journal of a file that was written as a whole or removed."""
        if self.session is not None and name == self.log:
            self.session.clear()

    def _part(self, ending: str = "") -> Path:
        return self._place(f"{PARTS}/{uuid4().hex}{PART}{ending}")

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
            what = "The output folder was removed while it was being written."
            raise CannotWrite(what, fix="Run the same command again.", where=Place(str(self.path)))

    def _link(self, name: str) -> CannotWrite:
        what = f"`{name}` is a symbolic link now, and nothing is written through links."
        return CannotWrite(what, fix="Remove the link.", where=Place(str(self.path / name)))


class OwnFolder(OpenFolder):
    """Hold our folder, locked; `record` is the file that marks and describes it.

    A shard shares it with the others: it holds a lock of its own while it is at work, and that of
    the folder while it begins, until `let_others`, and within `alone`. A remote folder has no
    locks: only the working folder is held, and what others find is read in their journals.
    """

    def __init__(self, path: Path, record: str, shard: Shard = WHOLE) -> None:
        """Make and lock the folder.

        Raises:
            BadOutput: it is not ours, holds something else or a symbolic link, is in use, or cannot
                be written.
        """
        super().__init__(path, record, shard)
        if self.remote is not None and self.state is None:
            fix = "Name a folder on this machine with --out, and copy it at the end."
            what = f"The output of {_one(KINDS[record])} can be written to this machine only."
            raise BadOutput(what, fix=fix, where=Place(str(self.where)))
        if self.remote is not None and not (shard.is_whole or self.may_share):
            what = f"Shards cannot share the remote folder of {_one(KINDS[record])}."
            fix = "Leave out --shard, or name a folder on this machine with --out."
            raise BadOutput(what, fix=fix, where=Place(str(self.where)))
        if shard.is_whole or not (self.path / LOCK).exists():
            self._see_owner()
        make_folder(self.path)
        self._lock = FileLock(self.path / LOCK)
        try:
            self._lock.acquire(timeout=0 if shard.is_whole else PATIENCE)
        except Timeout as error:
            raise self._in_use(f"Another {KINDS[record]}") from error
        self.enter()
        try:
            if not shard.is_whole:
                self._see_owner()  # now that no other shard changes anything
            self.others = self._join()
            if not self.others:
                for part in _parts(self.path):
                    part.unlink(missing_ok=True)
            self.session = self._bring(self.remote) if self.remote is not None else None
        except BaseException:
            self._lock.release()
            raise

    def _bring(self, remote: RemoteFolder) -> RemoteJournal:
        """Have on this machine what a command goes on from, and nothing else that an earlier left.

        Raises:
            BadOutput: the folder is not ours, or cannot be reached or written.
        """
        try:
            self._see_remote_owner(remote)
            self._clear()
            journal = RemoteJournal(remote, self.shard)
            for name in filter(None, (self.record, self.log, *(self.state or ()))):
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

    def close(self) -> None:
        """Let others use the folder."""
        if self.session is not None:
            with suppress(CannotWrite, OSError):  # the command has said what is wrong
                self.session.flush()
                self._clear()
        if self._own is not None:
            self._own.release()
        with suppress(Timeout, OSError):  # others are at it, or the disk is in trouble
            self._lock.acquire(timeout=0)
            if not list(self._living()):
                for part in _parts(self.path):  # of shards that were killed
                    part.unlink(missing_ok=True)
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
            what = "Another shard has kept the record locked for too long."
            fix = "Run the same command again: it resumes where it stopped."
            raise CannotWrite(what, fix=fix, where=Place(str(self.where))) from error
        try:
            self.others = [one for one in self._living() if one != self.shard]
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
        return BadOutput(what, fix=fix, where=Place(str(self.where)))

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
        return BadOutput(what, fix=fix, where=Place(str(self.where / self.record)))

    def _see_owner(self) -> None:
        if self.remote is not None or not self.path.is_dir():
            return
        where = Place(str(self.path))
        try:
            names = sorted(os.listdir(self.path))  # noqa: PTH208 - names are what is asked for
            link = next((one for one in _links(self.path) if not self.may_be_link(one)), None)
        except OSError as error:
            what = f"The output folder cannot be read: {error.strerror or error}."
            raise BadOutput(what, fix=FIX, where=where) from error
        records = [name for name in KINDS if is_record(self.path / name)]
        self._see_foreign(records, [one for one in names if not _is_trace(self.path / one)])
        if self.is_claimed and link is not None:
            what = "A symbolic link is in the folder, and nothing is written through links."
            fix = "Remove the link, or name another folder with --out."
            raise BadOutput(what, fix=fix, where=Place(str(link)))

    def _see_remote_owner(self, remote: RemoteFolder) -> None:
        entries = remote.entries()
        names = [one.name for one in entries if one.name not in (PARTS, JOURNAL)]
        sizes = {one.name: one.size for one in entries if not one.is_folder}
        heads = {
            name: remote.read(name, min(sizes[name], 200)) for name in KINDS if sizes.get(name)
        }
        self._see_foreign([name for name, head in heads.items() if HEAD.match(head)], names)

    def _see_foreign(self, records: Sequence[str], names: Sequence[str]) -> None:
        """Refuse a folder by the records of ours that are in it, and what else there is."""
        kind, where = KINDS[self.record], Place(str(self.where))
        if self.record in records:
            return
        if self.record in names:
            raise self.broken()
        if records:
            what = f"The folder holds {_one(KINDS[records[0]])}, not {_one(kind)}."
            raise BadOutput(what, fix=FIX, where=where)
        if names:
            what = f"The folder holds files that belong to no {kind}."
            there = f"It has `{names[0]}`, but no `{self.record}`."
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
        there = f"It has `{strange}`, but no `{TAG}` of ovsskit."
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


def _working_folder(where: Path, shard: Shard) -> Path:
    """Return where the files of a remote folder are made, which nobody else reads."""
    digest = hashlib.sha256(str(where).encode()).hexdigest()[:16]
    path = cache_folder() / "outputs" / f"{digest}-{shard.label}"
    with suppress(OSError):  # whoever uses it says what is wrong
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path.absolute()


def _measure_remote(remote: RemoteFolder, name: str) -> Written | None:
    """Return size and digest of a remote file; None if it is not there."""
    with TemporaryDirectory(prefix="ovsskit-") as folder:
        path = Path(folder, "file")
        return measure(path) if remote.bring(name, path) else None


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
