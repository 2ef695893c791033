"""Lines that are added to a remote folder: objects of some lines each, since none can be added to.

    .journal/000002-1-of-4-1f0c/000000.jsonl    lines of a session, in the order in which they came
    .journal/000002-1-of-4-1f0c/end.json        what the session leaves at its end

A session is one command at work. Its number is higher than those of all that had begun before it,
so that the newest line about a thing is known without any clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Lock
from uuid import uuid4

from ovsskit.files.remote_folder import RemoteFolder
from ovsskit.files.shard import Shard

JOURNAL, END = ".journal", "end.json"
TOGETHER = 200
"""Lines of an object at most."""
PAUSE = 1.0
"""Seconds for which lines wait for others, with which they are put together."""


class RemoteJournal:
    """Add lines to a remote folder, and read those of others."""

    def __init__(self, folder: RemoteFolder, shard: Shard) -> None:
        """Begin a session, and see that the folder can be written.

        Raises:
            CannotWrite: it cannot be written or read.
        """
        self.folder, self._seen = folder, dict[str, int]()
        self.ends: dict[str, bytes] = {}
        sessions = [one.name for one in folder.entries(JOURNAL) if one.is_folder]
        newest = max((int(one[:6]) for one in sessions if one[:6].isdecimal()), default=0)
        self.name = f"{newest + 1:06d}-{shard.label}-{uuid4().hex[:8]}"
        self._lines, self._put, self._last = list[str](), 0, 0.0
        self._first = self._number = 0
        self._lock = Lock()
        self._probe()

    def append(self, line: str) -> None:
        """Add a line; it is put at once, or with others within `PAUSE` seconds.

        Raises:
            CannotWrite: it cannot be put.
        """
        with self._lock:
            self._lines.append(line)
            if len(self._lines) >= TOGETHER or time.monotonic() - self._last > PAUSE:
                self._flush()

    def flush(self) -> None:
        """Put the lines that wait.

        Raises:
            CannotWrite: they cannot be put.
        """
        with self._lock:
            self._flush()

    def end(self, content: str) -> None:
        """Leave what others shall know of the session; its lines are put before.

        Raises:
            CannotWrite: it cannot be put.
        """
        self.flush()
        self.folder.put(self._place(END), content.encode())

    def news(self) -> list[str]:
        """Return the objects of other sessions that are new or have grown, the newest last.

        Raises:
            CannotWrite: they cannot be listed.
        """
        found: list[str] = []
        for session in self.folder.entries(JOURNAL):
            if session.is_folder and session.name != self.name:
                for one in self.folder.entries(f"{JOURNAL}/{session.name}"):
                    name = f"{JOURNAL}/{session.name}/{one.name}"
                    if self._seen.get(name) != one.size:
                        found.append(name)
        return found

    def has_news_of_ends(self) -> bool:
        """Tell whether sessions have ended of which `ends` holds nothing yet."""
        return any(name.endswith(f"/{END}") for name in self.news())

    def read(self) -> Iterator[bytes]:
        """Yield the news, some lines at a time; `ends` holds what sessions left that have ended.

        Raises:
            CannotWrite: they cannot be read.
        """
        for name in self.news():
            content = self.folder.read(name)
            self._seen[name] = len(content)
            if name.endswith(f"/{END}"):
                self.ends[name.split("/")[1]] = content
            else:
                yield content

    def clear(self) -> None:
        """Remove all that was read, and the own lines: they stand elsewhere now.

        Raises:
            CannotWrite: they cannot be removed.
        """
        with self._lock:
            end = self._number + (self._put > 0)
            own = [self._place(f"{number:06d}.jsonl") for number in range(self._first, end)]
            self.folder.delete(*self._seen, *own)
            self._seen, self.ends, self._lines, self._put = {}, {}, [], 0
            self._first = self._number = end

    def _flush(self) -> None:
        if len(self._lines) > self._put:
            text = "".join(f"{line}\n" for line in self._lines)
            self.folder.put(self._place(f"{self._number:06d}.jsonl"), text.encode())
            self._put, self._last = len(self._lines), time.monotonic()
            if self._put >= TOGETHER:
                self._lines, self._put = [], 0
                self._number += 1

    def _probe(self) -> None:
        name = self._place("begun")
        self.folder.put(name, b"")
        self.folder.delete(name)

    def _place(self, name: str) -> str:
        return f"{JOURNAL}/{self.name}/{name}"
