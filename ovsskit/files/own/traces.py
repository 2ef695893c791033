"""What commands leave in a folder beside its files: locks, and what was being written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ovsskit.files.writing import PART

LOCK, PARTS, SHARDS = ".lock", ".parts", ".shards"

PART_NAME = re.compile(rf"\.?[0-9a-f]{{32}}{re.escape(PART)}(-journal|\.\w+)?")
"""The names of what is still being written or on its way, and of what SQLite keeps beside it."""

SHARD_LOCK = re.compile(r"(\d+)-of-(\d+)\.lock")
"""The names of files that shards hold locked while they are at work."""


def parts_in(folder: Path) -> list[Path]:
    """Return what killed commands left half written."""
    parts = folder / PARTS
    if parts.is_symlink() or not parts.is_dir():
        return []
    return [one for one in parts.iterdir() if PART_NAME.fullmatch(one.name)]


def remove_parts(folder: Path) -> None:
    """Remove what killed commands left half written."""
    for part in parts_in(folder):
        part.unlink(missing_ok=True)


def is_trace(path: Path) -> bool:
    """Tell whether an entry is all that a command left which ended before it wrote its record."""
    if path.is_symlink():
        return False
    if path.name == PARTS:
        return path.is_dir() and len(parts_in(path.parent)) == len(list(path.iterdir()))
    if path.name == SHARDS:
        return path.is_dir() and all(SHARD_LOCK.fullmatch(one.name) for one in path.iterdir())
    return path.name == LOCK and path.is_file() and path.stat().st_size == 0


def links_in(folder: Path) -> Iterator[Path]:
    """Yield the symbolic links in a folder and in its folders."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir():
                yield from links_in(Path(entry.path))
