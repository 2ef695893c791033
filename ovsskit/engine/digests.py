"""Take digests: of files, and of values without looking at the same tensor twice."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import xxhash

from ovsskit.files.cache import keep_entry, read_entry
from ovsskit._lazy import torch
from ovsskit.engine.values import Value

LARGE = 1 << 20
"""Bytes from which on a file takes longer to read than the note of its digest."""
SETTLED = 2_000_000_000
"""Nanoseconds after a change until the next one surely has another time: some disks count in seconds."""


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


def digest_tensor(tensor: torch.Tensor) -> str:
    """Return number format, shape and a digest of the content of a tensor."""
    content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return f"{tensor.dtype}{tuple(tensor.shape)}{xxhash.xxh3_128_hexdigest(content.data)}"


class Digests:
    """Know the digests of values: of their content, or for what a stage wrote, of how it was made.

    A tensor is hashed once as long as it lives and is not changed in place. What is cut out of a tensor whose digest is
    known, such as a window of a picture, is named by where it lies there, and not hashed at all.
    """

    def __init__(self) -> None:
        self._known: Any = torch.utils.weak.WeakIdKeyDictionary()
        self._tensorless: WeakKeyDictionary[Value, str] = WeakKeyDictionary()

    def of(self, value: Value) -> str:
        """Return the digest of a value."""
        found = self._tensorless.get(value)
        if found is None:
            found = digest_texts([self._describe(value)])
            if not any(isinstance(item, torch.Tensor) for item in vars(value).values()):
                self._tensorless[value] = found
        return found

    def mark(self, value: Value, key: str) -> None:
        """Let the tensors of a value be known by the key under which it was made, unless they are known already."""
        for f in fields(value):
            tensor = getattr(value, f.name)
            if isinstance(tensor, torch.Tensor) and self._find(tensor) is None:
                self._remember(tensor, f"{key}.{f.name}")

    def _describe(self, item: Any) -> str:
        if isinstance(item, torch.Tensor):
            return self._tensor(item)
        if is_dataclass(item):
            names = [f.name for f in fields(item) if f.compare]
            parts = (f"{name}={self._describe(getattr(item, name))}" for name in names)
            return f"{type(item).__qualname__}({','.join(parts)})"
        if isinstance(item, tuple) and not all(type(one) in (int, str) for one in item):
            return f"({','.join(map(self._describe, item))})"
        return repr(item)

    def _tensor(self, tensor: torch.Tensor) -> str:
        found = self._find(tensor)
        if found is None:
            found = self._cut(tensor) or digest_tensor(tensor)
            self._remember(tensor, found)
        return found

    def _cut(self, tensor: torch.Tensor) -> str | None:
        """Return where a tensor lies in the known tensor that it is a view of, if it is one."""
        base = tensor._base
        known = None if base is None else self._find(base)
        if base is None or known is None:
            return None
        place = (
            tensor.storage_offset() - base.storage_offset(),
            tensor.shape,
            tensor.stride(),
            base.stride(),
            tensor.dtype,
        )
        return f"{known}{place}"

    def _find(self, tensor: torch.Tensor) -> str | None:
        version, digest = self._known.get(tensor, (None, None))
        return digest if version == _version(tensor) else None

    def _remember(self, tensor: torch.Tensor, digest: str) -> None:
        self._known[tensor] = (_version(tensor), digest)


def _version(tensor: torch.Tensor) -> int:
    """Return how often a tensor was changed in place; those made in inference mode do not tell."""
    return -1 if tensor.is_inference() else tensor._version
