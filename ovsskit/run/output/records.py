"""The records of a run's images, in SQLite: a million of them take no more memory than ten.

The table `images` has a row for each image: its `name`, `source`, `state` and `reason`, what is
asked of all at once, and as `record` everything else, as JSON.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterator, MutableMapping, Sequence, ValuesView
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, overload

from ovsskit.errors import BadFile, CannotWrite, Place
from ovsskit.run.output.record import ImageRecord

IMAGES = "images.sqlite"
"""The file in the folder of a run."""

SCHEMA = (
    "CREATE TABLE images (name TEXT PRIMARY KEY, source TEXT, stem TEXT, state TEXT, reason TEXT, "
    "empty INTEGER, noted INTEGER, explained INTEGER, record TEXT)",
    "CREATE INDEX by_source ON images (source)",
    "CREATE INDEX by_stem ON images (stem)",
    "CREATE INDEX by_state ON images (state, name)",
    "CREATE INDEX by_empty ON images (name) WHERE empty",
    "CREATE INDEX by_note ON images (name) WHERE noted",
    "CREATE INDEX by_maps ON images (name) WHERE explained",
)
PUT = (
    "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
    "source = excluded.source, stem = excluded.stem, state = excluded.state, "
    "reason = excluded.reason, empty = excluded.empty, noted = excluded.noted, "
    "explained = excluded.explained, record = excluded.record"
)
PAGE = 500
"""How many records are in memory while all are gone through."""
TOGETHER = 5000
"""How many changes reach the disk together."""
PATIENCE = 60.0
"""Seconds to wait for another process that reads or writes the file."""
BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA)


class Records(MutableMapping[str, ImageRecord]):
    """Hold records by the names of the images, in the order of the names.

    What is changed stands in the file once `commit` has returned, or `TOGETHER` changes later;
    whatever happens in between, the file is as it was before. Several threads may use it.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open a file; without one, records are kept in one that vanishes.

        Raises:
            BadFile: it is no file of records, or broken.
            CannotWrite: it cannot be opened.
        """
        self.path, self._lock, self._changes = path, RLock(), 0
        with self._telling():
            self._file = _connect(path)
            weakref.finalize(self, self._file.close)
            try:
                self._prepare()
            except BaseException:
                self._file.close()
                raise

    def _prepare(self) -> None:
        self._file.execute("PRAGMA trusted_schema = OFF")
        if self.path is None:
            for line in SCHEMA:
                self._file.execute(line)
        found = self._file.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        if [row[0] for row in found] != [*SCHEMA]:
            raise sqlite3.DatabaseError("it has other tables")

    def close(self) -> None:
        """Let go of the file; what is not committed is lost."""
        with self._lock:
            self._file.close()

    def commit(self) -> None:
        """Bring all changes to the disk.

        Raises:
            CannotWrite: the disk is full, or the file cannot be written any more.
        """
        with self._telling():
            if self._file.in_transaction:
                self._file.execute("COMMIT")
            self._changes = 0

    def copy_to(self, path: Path) -> None:
        """Write all records into a new file.

        Raises:
            CannotWrite: the disk is full, or the file cannot be written.
        """
        self.commit()
        with self._telling():
            self._file.execute("VACUUM INTO ?", (str(path),))

    def copy(self) -> Records:
        """Return a copy, in a file that vanishes."""
        self.commit()
        copied = Records()
        with self._telling():
            self._file.backup(copied._file)
        return copied

    def __getitem__(self, name: str) -> ImageRecord:
        """Return a record; a KeyError says that there is none."""
        found = self._one("SELECT name, record FROM images WHERE name = ?", name)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, record: ImageRecord) -> None:
        """Put a record in the place of the one of this name."""
        row = (
            name,
            _text(record.source),
            _text(Path(record.source).stem),
            record.state,
            _text(record.reason),
            record.shows_nothing,
            bool(record.notes),
            "maps" in record.saved,
            record.to_line(),
        )
        self._change(PUT, row)

    def __delitem__(self, name: str) -> None:
        """Remove a record; a KeyError says that there is none."""
        if name not in self:
            raise KeyError(name)
        self._change("DELETE FROM images WHERE name = ?", (name,))

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a record of this name."""
        return bool(self._all("SELECT 1 FROM images WHERE name = ?", name))

    def __len__(self) -> int:
        """Return how many records there are."""
        return self._count("SELECT count(*) FROM images")

    def __iter__(self) -> Iterator[str]:
        """Yield the names in order, also while records change."""
        return (record.name for record in self.each())

    def each(self, state: str = "") -> Iterator[ImageRecord]:
        """Yield the records in the order of their names, all or those of a state."""
        chosen = "state = ? AND " if state else ""
        text = f"SELECT name, record FROM images WHERE {chosen}name > ? ORDER BY name LIMIT {PAGE}"
        last, wanted = "", [state] if state else []
        while rows := self._all(text, *wanted, last):
            yield from (self._read(*row) for row in rows)
            last = rows[-1][0]

    def values(self) -> ValuesView[ImageRecord]:
        """Return the records in order."""
        return _Values(self)

    def counts(self) -> dict[str, int]:
        """Return how many images are in each state."""
        found = dict(self._all("SELECT state, count(*) FROM images GROUP BY state"))
        return {state: found.get(state, 0) for state in ("done", "failed", "pending")}

    def count_empty(self) -> int:
        """Return how many images show nothing but background."""
        return self._count("SELECT count(*) FROM images WHERE empty")

    def count_noted(self) -> int:
        """Return on how many images there are notes."""
        return self._count("SELECT count(*) FROM images WHERE noted")

    def first(self, kind: str, most: int) -> list[ImageRecord]:
        """Return the first images that are `empty`, `noted` or `explained`, at most so many."""
        assert kind in ("empty", "noted", "explained")
        text = f"SELECT name, record FROM images WHERE {kind} ORDER BY name LIMIT ?"
        return [self._read(*row) for row in self._all(text, most)]

    def name_of(self, source: str) -> str | None:
        """Return the name of an image by its full path, or None."""
        rows = self._all("SELECT name FROM images WHERE source = ?", _text(source))
        return str(rows[0][0]) if rows else None

    def of_source(self, source: str) -> ImageRecord | None:
        """Return the record of an image by its full path."""
        text = "SELECT name, record FROM images WHERE source = ?"
        found = [self._read(*row) for row in self._all(text, _text(source))]
        return next((one for one in found if one.source == source), None)

    def of_stem(self, stem: str, state: str) -> ImageRecord | None:
        """Return the last record in a state whose file has this name, without its ending."""
        text = "SELECT name, record FROM images WHERE stem = ? AND state = ? ORDER BY name DESC"
        return self._one(f"{text} LIMIT 1", _text(stem), state)

    def at(self, state: str, place: int) -> ImageRecord:
        """Return a record by its place among all, or those in a state; an IndexError if none."""
        chosen, wanted = ("WHERE state = ?", [state]) if state else ("", [])
        text = f"SELECT name, record FROM images {chosen} ORDER BY name LIMIT 1 OFFSET ?"
        found = self._one(text, *wanted, place)
        if found is None:
            raise IndexError(place)
        return found

    def _one(self, text: str, *values: object) -> ImageRecord | None:
        rows = self._all(text, *values)
        return self._read(*rows[0]) if rows else None

    def _count(self, text: str) -> int:
        return int(self._all(text)[0][0])

    def _all(self, text: str, *values: object) -> list[Any]:
        with self._telling():
            return self._file.execute(text, values).fetchall()

    def _change(self, text: str, values: Sequence[object]) -> None:
        with self._telling():
            if not self._file.in_transaction:
                self._file.execute("BEGIN")
            self._file.execute(text, values)
            self._changes += 1
        if self._changes >= TOGETHER:
            self.commit()

    def _read(self, name: str, line: Any) -> ImageRecord:
        with suppress(ValueError, TypeError, RecursionError):
            record = ImageRecord.from_line(line)
            if record.name == name:
                return record
        raise self._broken("one of them is no record")

    def _broken(self, why: object) -> BadFile:
        what = f"The records of the images are broken: {why}."
        fix = "Name another folder, or remove this one."
        return BadFile(what, fix=fix, where=Place(str(self.path or "")))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Use the file alone, and turn what SQLite says into a sentence."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError, UnicodeError) as error:
                code = getattr(error, "sqlite_errorcode", None)
                if code is None or code & 0xFF in BROKEN:
                    raise self._broken(error) from error
                full = code & 0xFF == sqlite3.SQLITE_FULL
                what = "The disk is full." if full else f"The records cannot be written: {error}."
                start = "Make room" if full else "Check the folder"
                fix = f"{start}, then run the same command again: it resumes where it stopped."
                raise CannotWrite(what, fix=fix, where=Place(str(self.path or ""))) from error


def open_records(folder: Path, plain: dict[str, Any]) -> Records:
    """Return the records of a run, of which `plain` is what `run.json` holds.

    Where an earlier version kept them in there, they are read from it, into a file that vanishes.

    Raises:
        BadFile: the records are broken.
        ValueError: those in `plain` are.
    """
    if "images" not in plain and (folder / IMAGES).exists():
        return Records(folder / IMAGES)
    records = Records()
    for one in plain.pop("images", ()):
        record = ImageRecord.from_plain(one)
        records[record.name] = record
    return records


class _Values(ValuesView[ImageRecord]):
    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self.records = records

    def __iter__(self) -> Iterator[ImageRecord]:
        return self.records.each()


class InState(Sequence[ImageRecord]):
    """The records of all images or those in a state, read when they are asked for."""

    def __init__(self, records: Records, state: str) -> None:
        self.records, self.state = records, state

    def __iter__(self) -> Iterator[ImageRecord]:
        """Yield them in the order of their names."""
        return self.records.each(self.state)

    def __len__(self) -> int:
        """Return how many there are."""
        return self.records.counts()[self.state] if self.state else len(self.records)

    @overload
    def __getitem__(self, place: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, place: slice) -> list[ImageRecord]: ...
    def __getitem__(self, place: int | slice) -> ImageRecord | list[ImageRecord]:
        """Return one, or some, by place."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        return self.records.at(self.state, range(len(self))[place])


def _connect(path: Path | None) -> sqlite3.Connection:
    """Open a file that is there; where it cannot be written, to read."""
    name = ""
    if path is not None:
        if path.is_symlink():
            raise sqlite3.DatabaseError("they are a symbolic link")
        may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        name = f"{path.absolute().as_uri()}?mode={'rw' if may_write else 'ro'}"
    return sqlite3.connect(
        name, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=True
    )


def _text(text: str) -> str:
    """Return a text as a file can hold it; what is no text stands there by its code."""
    return text.encode("utf-8", "backslashreplace").decode()
