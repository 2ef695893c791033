"""Take digests of texts and of files; a large file is read once for each time that it changes."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import xxhash

from ovsskit.files.cache import keep_entry, read_entry

LARGE = 1 << 20
"""Bytes from which on a file takes longer to read than the note of its digest."""
SETTLED = 2_000_000_000
"""Nanoseconds until another change surely has another time: some disks count in seconds."""


def digest_path(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    A file is read once for each time that it changes. For large files that holds across processes:
    their digests are kept in the user's cache with size and times of change.
    """
    stored = path.resolve()
    status = stored.stat()
    return _digest_file(stored, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def git_digest(path: Path) -> str:
    """Return the digest by which git, and the hub for small files, knows a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def digest_files(files: Mapping[str, Path]) -> str:
    """Return one digest of several files by their names; that of a single file is its own."""
    digests = {name: digest_path(file) for name, file in files.items()}
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = [f"{digest}  {name}" for name, digest in sorted(digests.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@lru_cache(maxsize=256)
def _digest_file(path: Path, size: int, *changed: int) -> str:
    if size < LARGE:
        return _hash(path)
    state = [str(path), size, *changed]
    entry = f"digests/{digest_texts([str(path)])}.json"
    found = _remembered(entry, state)
    if found is None:
        found = _hash(path)
        # A file that was changed just now may change again without a later time of change.
        if time.time_ns() - max(changed) > SETTLED:
            keep_entry(entry, json.dumps({"file": state, "sha256": found}))
    return found


def _remembered(entry: str, state: list[Any]) -> str | None:
    """Return the digest that is kept of a file in this state."""
    try:
        kept = json.loads(read_entry(entry))
        digest = kept["sha256"] if kept["file"] == state else None
    except (ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_texts(texts: Iterable[str]) -> str:
    """Return one digest of several texts in order."""
    return xxhash.xxh3_128_hexdigest("\0".join(texts).encode())
