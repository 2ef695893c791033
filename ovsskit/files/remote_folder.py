"""A folder in an object store or on another machine, into which files are put whole.

An object store shows an object whole or not at all. On other file systems a file is put under
another name and renamed. What breaks off is tried again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from threading import Lock, RLock
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from ovsskit.errors import BadOutput, CannotWrite, OvsskitError, Place
from ovsskit.files.bringing import is_address
from ovsskit.files.own.traces import PARTS
from ovsskit.files.remote import (
    RemotePath,
    bare,
    file_system,
    meant_path,
    see_address,
    telling,
    trying,
)
from ovsskit.files.writing import PART

OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "tos", "memory"}
)
"""File systems on which a file is there whole or not at all, by the names of their addresses."""

T = TypeVar("T")


class Entry(NamedTuple):
    """Name what lies in a remote folder: its name, bytes, and whether it is a folder."""

    name: str
    size: int
    is_folder: bool


class RemoteFolder:
    """Put, bring and remove files by their paths in a remote folder. Several threads may use it.

    What goes wrong raises CannotWrite, which names the folder.
    """

    def __init__(self, path: RemotePath) -> None:
        """Name a folder; nothing is asked of it yet.

        Raises:
            BadOutput: the address holds a password or more than a path, or no file system knows it.
            MissingExtra: a package is missing.
        """
        self.path, address = path, str(path)
        if is_address(address):
            what, fix = "Nothing can be written to the web.", "Name another folder with --out."
            raise BadOutput(what, fix=fix, where=Place(address))
        if strange := next((one for one in "?#*" if one in address), ""):
            what = f"`{strange}` is not allowed in the address of a folder."
            raise BadOutput(what, where=Place(address.partition(strange)[0]))
        see_address(address, BadOutput)
        self._files, self._root = file_system(address), bare(address).rstrip("/")
        scheme = address.partition("://")[0].lower()
        self._is_store = scheme in OBJECT_STORES
        self._one_by_one = nullcontext() if self._files.async_impl else RLock()
        self._sizes: _Sizes | None = None
        self._listing = Lock()

    def put(self, name: str, source: Path | bytes) -> None:
        """Put a file, or these bytes, under a name.

        Raises:
            CannotWrite: it cannot be written.
        """
        target = self._at(name)
        part = target if self._is_store else self._at(f"{PARTS}/{uuid4().hex}{PART}")

        def put() -> None:
            if not self._is_store:
                for path in (target, part):
                    self._files.makedirs(self._files._parent(path), exist_ok=True)
            if isinstance(source, bytes):
                self._files.pipe_file(part, source)
            else:
                self._files.put_file(str(source), part)
            if part != target:
                self._files.mv(part, target)

        self._do(name, put)
        if self._sizes is not None:
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            self._sizes.put(name, size)

    def bring(self, name: str, target: Path) -> bool:
        """Copy a file to this machine, under another name first; return whether there is one."""
        part = target.with_name(f".{uuid4().hex}{PART}")
        try:
            self._do(name, lambda: self._files.get_file(self._at(name), str(part)))
            part.replace(target)
        except _Missing:
            return False
        finally:
            part.unlink(missing_ok=True)
        return True

    def read(self, name: str, most: int | None = None) -> bytes:
        """Return the content of a small file, or its first bytes; none if it is not there."""
        with suppress(_Missing):
            return self._do(name, lambda: bytes(self._files.cat_file(self._at(name), end=most)))
        return b""

    def delete(self, *names: str) -> None:
        """Remove files, if they are there."""
        for name in names:
            with suppress(_Missing):
                self._do(name, partial(self._files.rm_file, self._at(name)))
            if self._sizes is not None:
                self._sizes.put(name, None)

    def entries(self, name: str = "") -> list[Entry]:
        """Return what lies in the folder, or in one in it, sorted; nothing if there is none."""
        found: list[dict[str, Any]] = []
        with suppress(_Missing):
            found = self._do(name, lambda: self._files.ls(self._at(name), detail=True))
        return sorted(_entries(found, self._at(name)))

    def size_of(self, name: str) -> int | None:
        """Return how large a file is; None if there is none.

        All folders are listed once, each when it is asked for first; what is put since is known.
        """
        with self._listing:
            if self._sizes is None:
                self._sizes = _Sizes()
                for where, entries in self._walk():
                    at = where.removeprefix(self._root).strip("/")
                    files = [one for one in entries if not one.is_folder]
                    self._sizes.put_all((f"{at}/{one.name}".lstrip("/"), one.size) for one in files)
        return self._sizes.get(name)

    def look_again(self) -> None:
        """Forget what was listed: others have put files since."""
        self._sizes = None

    def _walk(self) -> Iterator[tuple[str, list[Entry]]]:
        left = [self._root]
        while left:
            where = left.pop()
            found: list[dict[str, Any]] = []
            with suppress(_Missing):
                found = self._do("", partial(self._files.ls, where, detail=True))
            entries = _entries(found, where)
            yield where, entries
            left += [f"{where}/{one.name}" for one in entries if one.is_folder]

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _do(self, name: str, call: Callable[[], T]) -> T:
        def once() -> T:
            with self._one_by_one:
                return call()

        with self._telling(name):
            return trying(once)

    @contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        where = f"{self.path}/{name}".rstrip("/")
        try:
            with telling(where, CannotWrite):
                yield
        except OvsskitError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise _Missing(error.what, fix=error.fix, where=error.where) from error.__cause__
            raise


class _Missing(CannotWrite):
    """A file, folder or bucket is not there."""


class _Sizes:
    """Hold names and sizes of files, in a file that vanishes: there may be millions."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER)")
        self._lock = Lock()

    def put_all(self, files: Iterable[tuple[str, int | None]]) -> None:
        with self._lock:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT OR REPLACE INTO files VALUES (?, ?)", files)
            self._file.execute("COMMIT")

    def put(self, name: str, size: int | None) -> None:
        self.put_all([(name, size)])

    def get(self, name: str) -> int | None:
        with self._lock:
            row = self._file.execute("SELECT size FROM files WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None


def _entries(found: Iterable[dict[str, Any]], where: str) -> list[Entry]:
    entries = []
    for one in found:
        path, size = one["name"].rstrip("/"), int(one.get("size") or 0)
        is_itself = path.strip("/") == where.strip("/") and not size  # what marks a folder
        if not is_itself:
            entries.append(Entry(path.rpartition("/")[2], size, one["type"] == "directory"))
    return entries


def open_remote(path: Path) -> RemoteFolder | None:
    """Return the remote folder that a path was meant to be; None for a plain one.

    Raises:
        BadOutput: nothing can be written there; see `RemoteFolder`.
    """
    meant = meant_path(path)
    return RemoteFolder(meant) if isinstance(meant, RemotePath) else None
