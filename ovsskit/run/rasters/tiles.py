"""Keep what was found in each window of a raster until all are done: a killed run goes on there."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ovsskit._lazy import Float, Shaped, numpy
from ovsskit.errors import CannotWrite, Place
from ovsskit.files.own import OwnFolder
from ovsskit.run.rasters.grid import Grid, Window
from ovsskit.run.rasters.raster_file import BLOCK

WINDOWS = "windows"
"""The folder of tiles in the output folder of a run."""
TILE = re.compile(r"\d+_\d+\.npz")


@dataclass(frozen=True)
class Tile:
    """Hold the kept part of a window: ids of classes, and the winning scores if they are saved.

    `below` and `right` are the ids in the row and the column past the kept part; nothing where the
    window ends.
    """

    labels: Shaped[numpy.ndarray, "h w"]
    below: Shaped[numpy.ndarray, " below"]
    right: Shaped[numpy.ndarray, " right"]
    confidence: Float[numpy.ndarray, "h w"] | None = None


@dataclass(frozen=True)
class Tiles:
    """Write and read the tiles of one raster; `key` distinguishes what they are made of."""

    folder: OwnFolder
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

        self.folder.write(f"{self.path}/{window.name}.npz", write)

    def get(self, window: Window) -> Tile | None:
        """Return a tile; None if there is none, or it is broken."""
        try:
            with (
                self._place(window).open("rb") as content,
                numpy.load(content, allow_pickle=False) as file,
            ):
                tile = Tile(**{name: file[name] for name in file})
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        rows, columns = window
        size = rows.last - rows.first, columns.last - columns.first
        return tile if tile.labels.shape == size else None

    def strips(
        self,
        grid: Grid,
        empty: Container[str],
        fill: int | float,
        kind: str,
        field: str = "labels",
    ) -> Iterator[Shaped[numpy.ndarray, "rows w"]]:
        """Yield a field of all tiles, `BLOCK` rows at a time.

        `empty` names the windows that have no tile; `fill` stands there.

        Raises:
            CannotWrite: another is missing or broken.
        """
        height, width = grid.size
        for top in range(0, height, BLOCK):
            strip = numpy.full((min(BLOCK, height - top), width), fill, kind)
            bottom = top + len(strip)
            for window in grid.between(top, bottom):
                if window.name not in empty:
                    rows, columns = window
                    first, last = max(rows.first, top), min(rows.last, bottom)
                    part = self._need(window, field)[first - rows.first : last - rows.first]
                    strip[first - top : last - top, columns.first : columns.last] = part
            yield strip

    def remove(self, *, others: bool = False) -> None:
        """Remove the tiles of the raster, or those of other keys."""
        home = self.folder.path / WINDOWS / self.name
        for path in sorted(home.iterdir()) if home.is_dir() else ():
            is_own = path.name == self.key
            if path.is_dir() and not path.is_symlink() and is_own != others:
                self._clear(path)
        self.folder.prune(f"{WINDOWS}/{self.name}")

    def _need(self, window: Window, field: str) -> Shaped[numpy.ndarray, "h w"]:
        tile = self.get(window)
        found = None if tile is None else getattr(tile, field)
        if found is None:
            what = "What was found in a window was taken away while the raster was put together."
            fix = "Run the same command again."
            raise CannotWrite(what, fix=fix, where=Place(str(self._place(window))))
        return found  # type: ignore[no-any-return]

    def _clear(self, path: Path) -> None:
        where = path.relative_to(self.folder.path).as_posix()
        for one in path.iterdir():
            if TILE.fullmatch(one.name):
                self.folder.delete(f"{where}/{one.name}")
        self.folder.prune(where)

    def _place(self, window: Window) -> Path:
        return self.folder.path / self.path / f"{window.name}.npz"
