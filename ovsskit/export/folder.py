"""The output folder of an export: the record, what was exported of every image, and the files.

    export.json      the record: run, format, classes, how many images, what was left out and lost
    images.jsonl     what was exported of each image, a line for each
    ...              what the format has

A line is added as soon as an image is exported: an export that was killed goes on from there. A
shard has a file of lines of its own while it is at work. The record says whether the whole is
finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ovsskit.export.format import Part
from ovsskit.files.lines import LineFiles
from ovsskit.files.own.kinds import EXPORT
from ovsskit.files.own.traces import PARTS
from ovsskit.files.own.written import Files, Written, read_files
from ovsskit.files.shard import WHOLE, Shard
from ovsskit.run.output.recorded import RecordedFolder


@dataclass(frozen=True)
class Line:
    """Say what was exported of one image.

    `key` distinguishes what it was made of; `files` were written of the image alone, and `link` is
    what the image's own link points to; `drawn` says whether the image was written anew as PNG.
    """

    part: Part
    key: str
    files: Files
    link: str = ""
    drawn: bool = False

    def to_text(self) -> str:
        """Return the line as JSON."""
        return json.dumps(vars(self))

    @classmethod
    def from_text(cls, text: bytes) -> Line:
        """Read a line back.

        Raises:
            ValueError: it is none.
        """
        line: Line = _READ(json.loads(text))
        return line


_READ = TypeAdapter(Line).validate_python


class ExportFolder(RecordedFolder):
    """Hold an output folder that is locked for one export, or raise BadOutput."""

    state, log = (), "images.jsonl"

    def __init__(
        self, path: Path, identity: dict[str, Any], image_folder: str, shard: Shard = WHOLE
    ) -> None:
        self.image_folder = image_folder
        self.lines = LineFiles(self, "images")
        super().__init__(path, EXPORT, identity, shard)

    def begin(self) -> None:
        """Hold what a new folder holds."""
        self.files: dict[str, Written] = {}
        self.left_out: dict[str, str] = {}
        self.notices: list[str] = []
        self._places: dict[str, tuple[str, int]] = {}

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says: the files of the whole, and why images were left out."""
        self.files = read_files(plain["files"])
        self.left_out = {one["name"]: one["reason"] for one in plain.get("left_out", ())}
        self.notices = [str(one) for one in plain.get("notices", ())]

    def claim(self) -> None:
        """Write the record of an export of which nothing is done yet."""
        self.save({"finished": False})

    def start(self, plain: dict[str, Any]) -> None:
        """Claim the folder, or go on in it; images that were left out are tried again.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        with self.alone():
            for name in filter(self.shard.has, [*self.left_out]):
                del self.left_out[name]
            self.notices = [] if self.shard.is_whole else self.notices
            self.save(plain)
            self.gather()

    def may_be_link(self, path: Path) -> bool:
        """Tell whether a symbolic link in the folder may be that of an image."""
        homes = (self.path / self.image_folder, self.path / PARTS)
        return path.parent in homes and not path.is_dir()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder alone, with what its record says by now.

        Raises:
            CannotWrite: another shard holds it for too long, or it cannot be written any more.
        """
        if self.shard.is_whole:
            yield
            return
        with super().alone():
            self.restore(json.loads((self.path / EXPORT).read_text(encoding="utf-8")))
            yield

    def gather(self) -> None:
        """Have one line for each image, the last one; also what shards exported that have ended.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        if self._look() > len(self._places) or {*self.lines.names()} - {self.lines.all}:
            self._write([*self._places])

    def names(self) -> list[str]:
        """Return the names of the images that are exported."""
        return list(self._places)

    def find(self, name: str) -> Line | None:
        """Return what was exported of an image, by its name."""
        for _ in range(2):
            if name not in self._places:
                return None
            with suppress(OSError, ValueError):
                line = Line.from_text(self.lines.at(*self._places[name]))
                if line.part.name == name:
                    return line
            self._look()  # another shard has brought its lines home
        return None

    def has(self, line: Line) -> bool:
        """Tell whether all that was written of an image is there."""
        image = self.path / line.part.image
        linked = not line.link or (image.is_symlink() and str(image.readlink()) == line.link)
        return linked and all(self.holds(name, written) for name, written in line.files.items())

    def add(self, line: Line) -> None:
        """Note what was exported of an image.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        path = self.path / self.lines.own
        place = path.stat().st_size if path.exists() else 0
        self.append(self.lines.own, line.to_text())
        self._places[line.part.name] = self.lines.own, place

    def drop(self, line: Line, kept: Line | None = None) -> None:
        """Remove the files of an image, but not those that another line has, too."""
        others = kept.files if kept else {}
        for name, written in line.files.items():
            if name not in others and self.holds(name, written):
                self.delete(name)
        image = self.path / line.part.image
        relinked = kept is not None and kept.part.image == line.part.image
        if line.link and not relinked and image.is_symlink():
            self.delete(line.part.image)

    def drop_others(self, names: set[str]) -> None:
        """Remove the files of all images but these."""
        for name in self.names():
            if name not in names and (line := self.find(name)) is not None:
                self.drop(line)
                del self._places[name]

    def keep(self, names: list[str]) -> None:
        """Have one line for each of these images, in this order, and no others."""
        if self.names() != names or self._count() != len(names):
            self._write(names)

    def parts(self) -> Iterator[Line]:
        """Yield what was exported, image by image."""
        for _, text in self.lines.read(self.lines.all):
            yield Line.from_text(text)

    def save(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Write the record, and return it.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        if plain["finished"] and (self.path / self.log).exists():
            self.carry(self.log)
        left_out = [{"name": name, "reason": why} for name, why in sorted(self.left_out.items())]
        plain |= {"left_out": left_out, "notices": self.notices}
        whole = {**plain, "identity": self.identity, "files": self.files}
        self.write_record(**whole)
        return json.loads(json.dumps(whole))  # type: ignore[no-any-return]

    def _write(self, names: list[str]) -> None:
        self.lines.gather([self._places[name] for name in names])
        self._look()

    def _count(self) -> int:
        return sum(1 for _ in self.lines.read(self.lines.all))

    def _look(self) -> int:
        """See where the line of each image is; return how many lines there are."""
        count = 0
        self._places = {}
        for file in dict.fromkeys((*self.lines.names(), self.lines.own)):
            for place, text in self.lines.read(file):
                count += 1
                with suppress(ValueError):
                    self._places[Line.from_text(text).part.name] = file, place
        return count
