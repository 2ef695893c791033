"""Keep what was found in each window of a raster until all are done: a killed run goes on there."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ovsskit._lazy import Float, Shaped, numpy
from ovsskit.errors import CannotWrite, Place
from ovsskit.files.own.open_folder import OpenFolder
from ovsskit.run.rasters.grid import Window

WINDOWS = "windows"
"""The folder of tiles in the output folder of a run."""
BROKEN = (zipfile.BadZipFile, zlib.error)
TILE = re.compile(r"\d+_\d+\.npz")


@dataclass(frozen=True)
class Tile:
    """Hold what was found in a window: ids of classes, and the winning scores if they are saved."""

    labels: Shaped[numpy.ndarray, "h w"]
    confidence: Float[numpy.ndarray, "h w"] | None = None


@dataclass(frozen=True)
class Tiles:
    """Write and read the tiles of one raster; `key` distinguishes what they are made of.

    Those of a run with a remote folder stay on this machine.
    """

    folder: OpenFolder
    name: str
    key: str

    @property
    def path(self) -> str:
        """Return where the tiles lie in the folder."""
        return f"{WINDOWS}/{self.name}/{self.key}"

    def put(self, window: Window, tile: Tile) -> None:
        """Write a tile.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """

        def write(file: BinaryIO) -> None:
            arrays = {name: array for name, array in vars(tile).items() if array is not None}
            numpy.savez_compressed(file, allow_pickle=False, **arrays)

        self.folder.write(f"{self.path}/{window.name}.npz", write, here=True)

    def get(self, window: Window) -> Tile | None:
        """Return a tile; None if there is none, or it is broken."""
        found = self._read(window)
        try:
            return None if found is None else Tile(**found)
        except TypeError:  # it has other fields
            return None

    def need(self, window: Window, name: str) -> Shaped[numpy.ndarray, "h w"]:
        """Return a field of a tile; the others are not read.

        Raises:
            CannotWrite: it is missing or broken.
        """
        found = self._read(window, name)
        if found is None:
            what = "The result of a window was removed while the raster was being assembled."
            fix = "Run the same command again."
            raise CannotWrite(what, fix=fix, where=Place(str(self._place(window))))
        return found[name]

    def _read(self, window: Window, *names: str) -> dict[str, Shaped[numpy.ndarray, "h w"]] | None:
        """Return fields of a tile, all unless some are named; None if one is missing or broken."""
        try:
            with (
                self._place(window).open("rb") as content,
                numpy.load(content, allow_pickle=False) as file,
            ):
                found = {name: file[name] for name in names or file}
        except (OSError, ValueError, TypeError, KeyError, EOFError, *BROKEN):
            return None
        return found if all(one.shape == window.size for one in found.values()) else None

    def remove(self, *, others: bool = False) -> None:
        """Remove the tiles of the raster, or those of other keys."""
        home = self.folder.path / WINDOWS / self.name
        for path in sorted(home.iterdir()) if home.is_dir() else ():
            is_own = path.name == self.key
            if path.is_dir() and not path.is_symlink() and is_own != others:
                self._clear(path)
        self.folder.prune(f"{WINDOWS}/{self.name}")

    def _clear(self, path: Path) -> None:
        where = path.relative_to(self.folder.path).as_posix()
        for one in path.iterdir():
            if TILE.fullmatch(one.name):
                self.folder.delete(f"{where}/{one.name}", here=True)
        self.folder.prune(where)

    def _place(self, window: Window) -> Path:
        return self.folder.path / self.path / f"{window.name}.npz"
