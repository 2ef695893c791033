"""The output folder of an export: the record, what was exported of every image, and the files.

    export.json      the record: run, format, classes, how many images, what was left out and lost
    images.jsonl     what was exported of each image, a line for each
    ...              what the format has

A line is added as soon as an image is exported: an export that was killed goes on from there. The
record says whether the whole is finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter

from ovsskit.export.format import Part
from ovsskit.files.own import EXPORT, PARTS, Files, Written, read_files
from ovsskit.run.output.recorded import RecordedFolder

LINES = "images.jsonl"


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

    def __init__(self, path: Path, identity: dict[str, Any], image_folder: str) -> None:
        self.image_folder = image_folder
        super().__init__(path, EXPORT, identity)

    def begin(self) -> None:
        """Hold what a new folder holds."""
        self.files: dict[str, Written] = {}
        self._offsets: dict[str, int] = {}

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says."""
        self.files = read_files(plain["files"])

    def may_be_link(self, path: Path) -> bool:
        """Tell whether a symbolic link in the folder may be that of an image."""
        homes = (self.path / self.image_folder, self.path / PARTS)
        return path.parent in homes and not path.is_dir()

    def start(self, plain: dict[str, Any]) -> None:
        """Claim the folder, or go on in it.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        self.save(plain)
        lines = 0
        for offset, text in self._texts():
            lines += 1
            with suppress(ValueError):
                self._offsets[Line.from_text(text).part.name] = offset
        if lines > len(self._offsets):
            self.keep(list(self._offsets))

    def find(self, name: str) -> Line | None:
        """Return what was exported of an image, by its name."""
        if name not in self._offsets:
            return None
        with (self.path / LINES).open("rb") as file:
            file.seek(self._offsets[name])
            return Line.from_text(file.readline())

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
        path = self.path / LINES
        offset = path.stat().st_size if path.exists() else 0
        self.append(LINES, line.to_text())
        self._offsets[line.part.name] = offset

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
        for name in list(self._offsets):
            if name not in names and (line := self.find(name)) is not None:
                self.drop(line)
                del self._offsets[name]

    def keep(self, names: list[str]) -> None:
        """Have one line for each of these images, in this order, and no others."""

        def copy(file: BinaryIO) -> None:
            with (self.path / LINES).open("rb") as old:
                for name in names:
                    old.seek(self._offsets[name])
                    offsets[name] = file.tell()
                    file.write(old.readline())

        offsets: dict[str, int] = {}
        if list(self._offsets) != names or self._count() != len(names):
            self.write(LINES, copy)
            self._offsets = offsets

    def parts(self) -> Iterator[Line]:
        """Yield what was exported, image by image."""
        for _, text in self._texts():
            yield Line.from_text(text)

    def save(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Write the record, and return it.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        whole = {**plain, "identity": self.identity, "files": self.files}
        self.write_record(**whole)
        return json.loads(json.dumps(whole))  # type: ignore[no-any-return]

    def _count(self) -> int:
        return sum(1 for _ in self._texts())

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        """Yield every line with its place in the file."""
        path, offset = self.path / LINES, 0
        if not path.exists():
            return
        with path.open("rb") as file:
            for text in file:
                yield offset, text
                offset += len(text)
