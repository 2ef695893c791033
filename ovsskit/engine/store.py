"""Keep what networks wrote, by key, in memory and in a folder that processes share.

Both hold a bounded number of bytes.
What was not used for longest goes first. A value on disk is one safetensors file, written under a
temporary name and renamed; what cannot be read as such counts as absent.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError, safe_open

from ovsskit._lazy import torch
from ovsskit.engine.digests import Digests, digest_tensor
from ovsskit.engine.values import Value
from ovsskit.files.digests import digest_texts
from ovsskit.files.own.cache_tag import claim_cache
from ovsskit.files.writing import PART

MEMORY_BYTES, DISK_BYTES = 1 << 30, 10 << 30
OVERHEAD = 1 << 10
"""What a value takes in memory beside its tensors, roughly."""
KEY = re.compile("[0-9a-f]{32}")
KEPT_FOLDER = re.compile("[0-9a-f]{2}")
KEPT_FILE = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{30}\.safetensors|\.[0-9a-f]{32}\.part)")
"""A value under the digest that is its key, or one that is being written."""

STALE = 3600.0
"""Seconds after which a file that is still being written is taken to be a killed process's."""

log = logging.getLogger(__name__)


@dataclass
class Count:
    """Count a stage's calls by items, such as images of a network, and how many the store knew."""

    calls: int = 0
    hits: int = 0


class Store:
    """Keep values by key in memory and, if a folder is given, there too; count what that saves."""

    def __init__(
        self,
        folder: Path | None = None,
        memory_bytes: int = MEMORY_BYTES,
        disk_bytes: int = DISK_BYTES,
    ) -> None:
        """Make an empty store, or open what a folder holds.

        Raises:
            BadOutput: the folder cannot be made or written.
        """
        self.digests = Digests()
        self.counts: defaultdict[str, Count] = defaultdict(Count)
        self.disk = None if folder is None else Disk(folder, disk_bytes)
        self.limit, self.size = memory_bytes, 0
        self._values: OrderedDict[str, Value] = OrderedDict()

    @property
    def calls(self) -> int:
        """Return for how many items stages were called in all."""
        return sum(count.calls for count in self.counts.values())

    @property
    def hits(self) -> int:
        """Return how many calls were saved in all."""
        return sum(count.hits for count in self.counts.values())

    def note(self, address: str, *, calls: int, hits: int) -> None:
        """Add to the counts of a stage."""
        count = self.counts[address]
        count.calls, count.hits = count.calls + calls, count.hits + hits

    def find(self, key: str, device: str = "cpu") -> Value | None:
        """Return the value of a key on a device, or None."""
        value = self._values.get(key)
        if value is None and self.disk is not None:
            value = self.disk.find(key)
            if value is not None:
                self._remember(key, value)
        if value is None:
            return None
        if key in self._values:
            self._values.move_to_end(key)
        return value.to(device)

    def keep(self, key: str, value: Value) -> None:
        """Keep a value under a key."""
        alone = _alone(value.to("cpu"))
        self._remember(key, alone)
        if self.disk is not None:
            self.disk.keep(key, alone)

    def _remember(self, key: str, value: Value) -> None:
        bytes_ = size_of(value)
        if key in self._values or bytes_ > self.limit:
            return
        self._values[key] = value
        self.size += bytes_
        while self.size > self.limit:
            self.size -= size_of(self._values.popitem(last=False)[1])


class Disk:
    """Keep values in a folder that several processes may share.

    Each looks at the folder when it has written a tenth of the limit: every process beside the
    first may exceed it by so much.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        claim_cache(folder, KEPT_FOLDER)
        self.folder, self.limit = folder, limit
        self._written, self._warned = limit, False

    def find(self, key: str) -> Value | None:
        """Return the value of a key, or None if there is none that can be read."""
        path = self._path(key)
        try:
            if path.is_symlink() or path.parent.is_symlink():
                return None
            os.utime(path)
            with safe_open(path, "pt") as file:
                notes = file.metadata()
                tensors = {name: file.get_tensor(name) for name in sorted(file.keys(), key=int)}
            if notes["check"] != _check(notes["value"], tensors):
                raise ValueError("its content has changed")
            value = _unpack(json.loads(notes["value"]), tensors)
        except FileNotFoundError:
            return None
        except (
            SafetensorError,
            RuntimeError,
            OSError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:
            log.debug("%s cannot be read and is made anew: %s", path, error)
            return None
        return value if isinstance(value, Value) else None

    def keep(self, key: str, value: Value) -> None:
        """Write a value, unless it exceeds the folder's limit alone; go on if writing fails."""
        bytes_ = size_of(value)
        if bytes_ > self.limit:
            return
        self._written += bytes_
        try:
            if self._written > self.limit // 10:
                self._make_room(bytes_)
            self._write(self._path(key), value)
        except (OSError, SafetensorError, TypeError) as error:
            if not self._warned:
                log.warning(
                    "results cannot be kept in %s, and will be computed again: %s",
                    self.folder,
                    error,
                )
            self._warned = True

    def _write(self, path: Path, value: Value) -> None:
        from safetensors.torch import save_file

        tensors: dict[str, torch.Tensor] = {}
        described = json.dumps(_pack(value, tensors))
        part = path.with_name(
            f".{uuid4().hex}{PART}"
        )  # of its own, as processes may write the same key
        path.parent.mkdir(exist_ok=True)
        if path.parent.is_symlink():
            raise OSError(f"{path.parent} is a symbolic link")
        try:
            save_file(tensors, part, {"value": described, "check": _check(described, tensors)})
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _make_room(self, bytes_: int) -> None:
        """Remove what was not used for longest, until a tenth more than is needed is free."""
        self._written = bytes_
        found = []
        for path in self._files():
            try:
                status = path.lstat()
                if path.name.endswith(PART) and time.time() - status.st_mtime > STALE:
                    path.unlink()
                else:
                    found.append((status.st_mtime_ns, status.st_size, path))
            except FileNotFoundError:  # another process was faster
                continue
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total + bytes_ + self.limit // 10 <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> Iterator[Path]:
        """Yield the files that this store wrote, by the form of their names."""
        for folder in self.folder.iterdir():
            if KEPT_FOLDER.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
                for path in folder.iterdir():
                    if KEPT_FILE.fullmatch(f"{folder.name}/{path.name}"):
                        yield path

    def _path(self, key: str) -> Path:
        name = key if KEY.fullmatch(key) else digest_texts([key])
        return self.folder / name[:2] / f"{name}.safetensors"


def size_of(value: Value) -> int:
    """Return the bytes that a value takes."""
    items = [getattr(value, f.name) for f in fields(value)]
    return OVERHEAD + sum(item.nbytes for item in items if isinstance(item, torch.Tensor))


def _alone(value: Value) -> Value:
    """Return a value whose tensors keep no larger ones alive, such as those of its batch."""
    tensors = {f.name: getattr(value, f.name) for f in fields(value)}
    tensors = {name: item for name, item in tensors.items() if isinstance(item, torch.Tensor)}
    large = {
        name: item.clone()
        for name, item in tensors.items()
        if item.untyped_storage().nbytes() > item.nbytes
    }
    return replace(value, **large) if large else value


def _check(described: str, tensors: dict[str, Any]) -> str:
    return digest_texts([described, *map(digest_tensor, tensors.values())])


def _pack(item: Any, tensors: dict[str, Any]) -> Any:
    """Turn a value into what JSON can hold, and put its tensors aside."""
    if isinstance(item, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = item.detach().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if is_dataclass(item):
        packed = {f.name: _pack(getattr(item, f.name), tensors) for f in fields(item)}
        return {"kind": [type(item).__module__, type(item).__qualname__], "fields": packed}
    if isinstance(item, tuple):
        return [one if type(one) in (int, str) else _pack(one, tensors) for one in item]
    if item is None or isinstance(item, str | int | float):
        return item
    raise TypeError(f"a {type(item).__name__} cannot be written")


def _unpack(item: Any, tensors: dict[str, Any]) -> Any:
    """Undo `_pack`. Kinds are looked up among the modules that are loaded; none is imported."""
    if isinstance(item, list):
        return tuple(_unpack(one, tensors) for one in item)
    if not isinstance(item, dict):
        return item
    if "tensor" in item:
        return tensors[item["tensor"]]
    module, name = item["kind"]
    kind: Any = getattr(sys.modules[module], name)
    if not isinstance(kind, type) or not is_dataclass(kind):
        raise ValueError(f"{name} is not a kind of value")
    return kind(**{key: _unpack(one, tensors) for key, one in item["fields"].items()})
