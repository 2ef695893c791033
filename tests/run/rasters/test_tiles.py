"""Tiles are read back as they were, and nothing is taken for one that is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

from ovsskit.errors import CannotWrite
from ovsskit.files.own.kinds import RUN
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.run.rasters.grid import WindowSize, lay_grid
from ovsskit.run.rasters.seams import Seams
from ovsskit.run.rasters.tiles import Tile, Tiles

GRID = lay_grid((600, 70), (0, 0), WindowSize(64, 16))
VOID = 255


@pytest.fixture
def tiles(tmp_path: Path) -> Iterator[Tiles]:
    folder = OwnFolder(tmp_path / "out", RUN)
    yield Tiles(folder, "a/map", "0123")
    folder.close()


def fill(tiles: Tiles, mask: numpy.ndarray) -> None:
    """Keep what windows show of a mask."""
    for window in GRID:
        rows, columns = window
        tiles.put(window, Tile(mask[rows.start : rows.stop, columns.start : columns.stop]))


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4broken"])
def test_a_tile_that_is_missing_or_broken_is_never_taken_for_void(
    tiles: Tiles, content: bytes | None
) -> None:
    fill(tiles, numpy.ones((600, 70), "uint8"))
    [first, *_] = GRID
    path = tiles.folder.path / tiles.path / f"{first.name}.npz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert tiles.get(first) is None
    with pytest.raises(CannotWrite, match="was removed"):
        list(Seams(tiles, GRID, set()).strips(VOID, "int32"))


def test_only_tiles_are_removed(tiles: Tiles) -> None:
    fill(tiles, numpy.ones((600, 70), "uint8"))
    other = Tiles(tiles.folder, "a/map", "4567")
    fill(other, numpy.ones((600, 70), "uint8"))
    strange = tiles.folder.path / tiles.path / "notes.txt"
    strange.write_text("mine")
    tiles.remove(others=True)
    assert not (tiles.folder.path / other.path).exists()
    assert len(list(strange.parent.iterdir())) == len(GRID) + 1
    tiles.remove()
    assert [one.name for one in strange.parent.iterdir()] == ["notes.txt"]
    strange.unlink()
    tiles.remove()
    tiles.folder.prune(tiles.path)
    assert not (tiles.folder.path / "windows").exists()
