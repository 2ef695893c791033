"""Windows are put together with seams where neighbours agree, whatever each of them found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import pytest

from ovsskit.files.own.kinds import RUN
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.run.rasters.grid import Grid, Window, WindowSize, lay_grid
from ovsskit.run.rasters.seams import Seams
from ovsskit.run.rasters.tiles import Tile, Tiles

VOID = 255
SIZE = (600, 170)
GRID = lay_grid(SIZE, (0, 0), WindowSize(64, 16))
Labels = Callable[[Window], numpy.ndarray]


@pytest.fixture
def tiles(tmp_path: Path) -> Iterator[Tiles]:
    folder = OwnFolder(tmp_path / "out", RUN)
    yield Tiles(folder, "a/map", "0123")
    folder.close()


def put(tiles: Tiles, labels: Labels, grid: Grid = GRID, skipped: frozenset[str] = frozenset()):
    for window in grid:
        if window.name not in skipped:
            found = labels(window)
            tiles.put(window, Tile(found, found.astype("float32") / 16))


def shown(mask: numpy.ndarray) -> Labels:
    return lambda window: mask[tuple(slice(span.start, span.stop) for span in window)]


def whole(seams: Seams, name: str = "labels") -> numpy.ndarray:
    kind = "int32" if name == "labels" else "float32"
    return numpy.concatenate(list(seams.strips(VOID, kind, name)))


def test_windows_that_agree_are_put_together_as_they_are(tiles: Tiles) -> None:
    mask = numpy.random.default_rng(0).integers(0, 9, SIZE).astype("uint8")
    put(tiles, shown(mask))
    seams = Seams(tiles, GRID, set())
    assert [len(one) for one in seams.strips(VOID, "int32")] == [512, 88]
    assert numpy.array_equal(whole(seams), mask)
    assert numpy.array_equal(whole(seams, "confidence"), mask.astype("float32") / 16)
    assert seams.share == 0


def test_windows_without_a_number_are_filled(tiles: Tiles) -> None:
    [_, empty, *_] = GRID
    put(tiles, shown(numpy.ones(SIZE, "uint8")), skipped=frozenset({empty.name}))
    found = whole(Seams(tiles, GRID, {empty.name}))
    rows, columns = empty
    cell = found[rows.first : rows.last, columns.first : columns.last]
    assert (cell == VOID).all()
    assert (found == VOID).sum() == cell.size


def test_every_pixel_is_of_a_window_that_shows_it_and_scores_go_with_labels(tiles: Tiles) -> None:
    random = numpy.random.default_rng(1)
    found = {window: random.integers(0, 9, window.size).astype("uint8") for window in GRID}
    put(tiles, found.__getitem__)
    seams = Seams(tiles, GRID, set())
    labels = whole(seams)
    known = numpy.zeros(SIZE, bool)
    for window, own in found.items():
        place = tuple(slice(span.start, span.stop) for span in window)
        known[place] |= labels[place] == own
    assert known.all()
    assert numpy.array_equal(whole(seams, "confidence"), labels.astype("float32") / 16)


def test_what_lies_on_a_seam_is_there_as_a_whole_or_not_at_all(tiles: Tiles) -> None:
    """A disc on the seam is found by the windows on one side alone, as it happens at borders."""
    edge = GRID.columns[0].last
    rows, columns = numpy.mgrid[: SIZE[0], : SIZE[1]]
    discs = [(rows - top) ** 2 + (columns - edge) ** 2 <= 16 for top in range(24, 560, 48)]
    mask = numpy.any(discs, axis=0).astype("uint8")

    def labels(window: Window) -> numpy.ndarray:
        return shown(mask if window.columns is GRID.columns[0] else 0 * mask)(window)

    put(tiles, labels)
    seams = Seams(tiles, GRID, set())
    found = whole(seams)
    for disc in discs:
        assert found[disc].sum() in (0, disc.sum())
    assert seams.share == 0


def test_what_cannot_be_gone_around_is_counted(tiles: Tiles) -> None:
    left = GRID.columns[0]

    def labels(window: Window) -> numpy.ndarray:
        return numpy.full(window.size, 1 if window.columns is left else 2, "uint8")

    put(tiles, labels)
    seams = Seams(tiles, GRID, set())
    found = whole(seams)
    assert (found[:, : left.last] == 1).all()  # a seam that gains nothing stays straight
    assert (found[:, left.last :] == 2).all()
    upright = SIZE[0] * (len(GRID.columns) - 1)
    level = SIZE[1] * (len(GRID.rows) - 1)
    assert seams.share == pytest.approx(SIZE[0] / (upright + level))


def test_a_part_has_the_seams_of_the_whole(tmp_path: Path) -> None:
    random = numpy.random.default_rng(2)
    mask = random.integers(0, 3, (400, 400)).astype("uint8")

    def noisy(grid: Grid, anchor: tuple[int, int]) -> Labels:
        """Return labels of which each window gets some wrong, the same for the same window."""

        def labels(window: Window) -> numpy.ndarray:
            down, across = (span.start + first for span, first in zip(window, anchor, strict=True))
            own = numpy.random.default_rng([down, across])
            seen = mask[down : down + window.size[0], across : across + window.size[1]].copy()
            wrong = own.random((8, 8)).repeat(8, 0).repeat(8, 1)[: len(seen), : seen.shape[1]] < 0.3
            seen[wrong] = 3
            return seen

        return labels

    found = []
    for name, size, anchor in (("whole", (400, 400), (0, 0)), ("part", (250, 280), (90, 70))):
        folder = OwnFolder(tmp_path / name, RUN)
        grid = lay_grid(size, anchor, WindowSize(64, 16))
        tiles = Tiles(folder, "a", "0")
        put(tiles, noisy(grid, anchor), grid)
        found.append(whole(Seams(tiles, grid, set())))
        folder.close()
    big, small = found
    inner = slice(64, -64)
    assert numpy.array_equal(big[90:340, 70:350][inner, inner], small[inner, inner])
