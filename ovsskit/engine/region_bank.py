"""A bank of regions: what a guide, and a model of texts, see in regions of unlabelled images.

Every entry is a region: its *key* is how it looks to the guide, its *value* what it looks like
among texts. Both are in half precision, in a file of safetensors; a file larger than memory is
written and read in parts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, BinaryIO

import xxhash

from ovsskit._lazy import Float, Int, UInt8, numpy, torch
from ovsskit.engine.bank_file import NOTE, bad_bank, read_notes
from ovsskit.engine.values import Image
from ovsskit.files.writing import write_whole

TENSORS = {"keys": "F16", "values": "F16", "images": "I32", "digests": "U8"}
"""The tensors of the file: `entry width` twice, the image of each entry, and `image byte`."""
DIGEST_BYTES = 16


def digest_image(image: Image) -> bytes:
    """Return a digest of an image's size and colours, by which a bank knows it again."""
    pixels = image.pixels.cpu().contiguous().numpy()
    return xxhash.xxh3_128_digest(repr(pixels.shape).encode() + pixels.tobytes())


class RegionBankWriter:
    """Gather the entries of a bank on the disk beside it, and write it whole in the end."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.entries, self.images = path, 0, 0
        self.widths: tuple[int, int] | None = None
        self._parts = {name: TemporaryFile(dir=path.parent) for name in TENSORS}  # noqa: SIM115

    def __enter__(self) -> RegionBankWriter:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop what was gathered."""
        for part in self._parts.values():
            part.close()

    def add(
        self,
        digest: bytes,
        keys: Float[torch.Tensor, "entry width"],
        values: Float[torch.Tensor, "entry space"],
    ) -> None:
        """Add the entries of an image.

        Raises:
            OSError: the disk is full.
        """
        owner = torch.full((len(keys),), self.images, dtype=torch.int32)
        for name, data in (("keys", keys.half()), ("values", values.half()), ("images", owner)):
            self._parts[name].write(data.cpu().contiguous().numpy().tobytes())
        self._parts["digests"].write(digest)
        self.widths = self.widths or (keys.shape[1], values.shape[1])
        self.entries, self.images = self.entries + len(keys), self.images + 1

    def finish(self, notes: Mapping[str, Any]) -> None:
        """Write the bank, whole or not at all.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written.
        """
        assert self.widths, "no image was added"
        write_whole(self.path, partial(self._write, json.dumps(notes, ensure_ascii=False)))

    def _write(self, notes: str, file: BinaryIO) -> None:
        """Write the header of safetensors, then what was gathered."""
        keys, values = self.widths or (0, 0)
        shapes = {
            "keys": [self.entries, keys],
            "values": [self.entries, values],
            "images": [self.entries],
            "digests": [self.images, DIGEST_BYTES],
        }
        header: dict[str, Any] = {"__metadata__": {NOTE: notes}}
        start = 0
        for name, part in self._parts.items():
            end = start + part.tell()
            header[name] = {
                "dtype": TENSORS[name],
                "shape": shapes[name],
                "data_offsets": [start, end],
            }
            start = end
        text = json.dumps(header, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        file.write(len(text).to_bytes(8, "little") + text)
        for part in self._parts.values():
            part.seek(0)
            shutil.copyfileobj(part, file, 1 << 20)


@dataclass(frozen=True)
class RegionBank:
    """Read a bank of regions; keys and values stay on the disk until they are asked for."""

    path: Path
    notes: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> RegionBank:
        """Open a bank.

        Raises:
            BadFile: there is no such file, or it is broken, or is no bank of regions.
        """
        notes = read_notes(path)
        if notes.get("of") != "regions":
            what = "This is a bank of classes, but a bank of regions is needed."
            raise bad_bank(path, what, fix="Build one with this recipe: ovsskit bank build")
        bank = cls(path, notes)
        shapes = {name: tuple(bank._open.get_slice(name).get_shape()) for name in bank._names}
        fits = (
            set(shapes) == set(TENSORS)
            and [len(shapes[name]) for name in TENSORS] == [2, 2, 1, 2]
            and len({shapes[name][0] for name in ("keys", "values", "images")}) == 1
        )
        if not fits:
            raise bad_bank(path, "The tensors are not those of a bank of regions.")
        return bank

    @cached_property
    def _open(self) -> Any:
        from safetensors import safe_open

        opened: Any = safe_open(self.path, "np")
        return opened.__enter__()

    @property
    def _names(self) -> list[str]:
        return list(self._open.keys())

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self.images)

    @property
    def widths(self) -> tuple[int, int]:
        """Return the lengths of keys and of values."""
        keys, values = (self._open.get_slice(name).get_shape()[1] for name in ("keys", "values"))
        return keys, values

    @cached_property
    def images(self) -> Int[torch.Tensor, " entry"]:
        """Return the number of the image that each entry is of."""
        return torch.from_numpy(self._open.get_tensor("images")).long()

    @cached_property
    def digests(self) -> UInt8[numpy.ndarray, "image byte"]:
        """Return the digests of the images."""
        found: numpy.ndarray = self._open.get_tensor("digests")
        return found

    def numbers_of(self, digest: bytes) -> list[int]:
        """Return the numbers of the images that are this one."""
        same = (self.digests == numpy.frombuffer(digest, "uint8")).all(1)
        found: list[int] = same.nonzero()[0].tolist()
        return found

    def keys(self, start: int, stop: int) -> Float[torch.Tensor, "entry width"]:
        """Return the keys of some entries."""
        return torch.from_numpy(self._open.get_slice("keys")[start:stop]).float()

    def values(self, entries: list[int]) -> Float[torch.Tensor, "entry space"]:
        """Return the values of some entries."""
        rows = self._open.get_slice("values")
        found = {entry: rows[entry : entry + 1] for entry in set(entries)}
        return torch.from_numpy(numpy.concatenate([found[entry] for entry in entries])).float()
