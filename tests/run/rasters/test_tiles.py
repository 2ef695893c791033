"""Tiles are read back as they were, and nothing is taken for one that is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

from ovsskit.errors import CannotWrite
from ovsskit.files.own import RUN, OwnFolder
from ovsskit.run.rasters.grid import WindowSize, lay_grid
from ovsskit.run.rasters.seams import measure_seams
from ovsskit.run.rasters.tiles import Tile, Tiles

GRID = lay_grid((600, 70), (0, 0), WindowSize(64, 16))
VOID = 255


@pytest.fixture
def tiles(tmp_path: Path) -> Iterator[Tiles]:
    folder = OwnFolder(tmp_path / "out", RUN)
    yield Tiles(folder, "a/map", "0123")
    folder.close()


def fill(tiles: Tiles, mask: numpy.ndarray, skipped: set[str] = set()) -> None:  # noqa: B006
    """Keep the parts of a mask, which neighbours see alike."""
    for window in GRID:
        rows, columns = window
        shown = mask[rows.start : rows.stop, columns.start : columns.stop]
        down, across = window.inner
        below, right = shown[down.stop :, across][:1], shown[down, across.stop :][:, :1]
        if window.name not in skipped:
            tiles.put(window, Tile(shown[window.inner], below.ravel(), right.ravel()))


def test_strips_put_tiles_together(tiles: Tiles) -> None:
    mask = numpy.random.default_rng(0).integers(0, 9, (600, 70)).astype("uint8")
    fill(tiles, mask)
    strips = list(tiles.strips(GRID, set(), VOID, "int32"))
    assert [len(one) for one in strips] == [512, 88]
    assert numpy.array_equal(numpy.concatenate(strips), mask)
    assert measure_seams(tiles, GRID, set(), VOID) == 0


def test_windows_without_a_number_are_filled(tiles: Tiles) -> None:
    mask = numpy.ones((600, 70), "uint8")
    [_, empty, *_] = GRID
    fill(tiles, mask, {empty.name})
    found = numpy.concatenate(list(tiles.strips(GRID, {empty.name}, VOID, "int32")))
    assert (found == VOID).sum() == empty.rows.last * (empty.columns.last - empty.columns.first)


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
    with pytest.raises(CannotWrite, match="was taken away"):
        list(tiles.strips(GRID, set(), VOID, "int32"))


def test_what_differs_along_the_seams_is_counted(tiles: Tiles) -> None:
    mask = numpy.ones((600, 70), "uint8")
    fill(tiles, mask)
    [first, *_] = GRID
    tile = tiles.get(first)
    assert tile is not None
    tiles.put(first, Tile(tile.labels, tile.below + 1, tile.right))
    seams = sum(len(one.below) + len(one.right) for one in map(tiles.get, GRID) if one)
    assert measure_seams(tiles, GRID, set(), VOID) == pytest.approx(len(tile.below) / seams)


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
