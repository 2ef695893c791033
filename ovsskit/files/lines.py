"""Files of lines that the shards of a command share: one for all, one for each that is at work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import BinaryIO

from ovsskit.files.own.own_folder import OwnFolder


class LineFiles:
    """Name where a command notes items: `images.jsonl`, or `images-2-of-4.jsonl` as a shard.

    A line is named by its file and the place of its first byte.
    """

    def __init__(self, folder: OwnFolder, stem: str) -> None:
        self.folder, self.all = folder, f"{stem}.jsonl"
        self._stem, self._known = stem, re.compile(rf"{stem}(-\d+-of-\d+)?\.jsonl")

    @property
    def own(self) -> str:
        """Return the file to which this command adds lines."""
        shard = self.folder.shard
        return self.all if shard.is_whole else f"{self._stem}-{shard.label}.jsonl"

    def names(self) -> list[str]:
        """Return the files that are there, that of all first, but not those of shards at work."""
        living = {f"{self._stem}-{other.label}.jsonl" for other in self.folder.others}
        found = {path.name for path in self.folder.path.glob(f"{self._stem}*.jsonl")} - living
        return sorted(
            filter(self._known.fullmatch, found), key=lambda name: (name != self.all, name)
        )

    def read(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield every line of a file, and where it begins; none if there is no file."""
        path, place = self.folder.path / name, 0
        if not path.exists():
            return
        with path.open("rb") as file:
            for line in file:
                yield place, line
                place += len(line)

    def at(self, name: str, place: int) -> bytes:
        """Return the line that begins there."""
        with (self.folder.path / name).open("rb") as file:
            file.seek(place)
            return file.readline()

    def gather(self, kept: Iterable[tuple[str, int]]) -> None:
        """Have these lines, in this order, in the file of all, and remove the other files.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        others = [name for name in self.names() if name != self.all]
        self.folder.write(self.all, lambda file: self._copy(file, kept))
        for name in others:
            self.folder.delete(name)

    def _copy(self, file: BinaryIO, kept: Iterable[tuple[str, int]]) -> None:
        with ExitStack() as stack:
            opened: dict[str, BinaryIO] = {}
            for name, place in kept:
                if name not in opened:
                    opened[name] = stack.enter_context((self.folder.path / name).open("rb"))
                opened[name].seek(place)
                file.write(opened[name].readline())
