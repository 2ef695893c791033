"""Windows tile a raster, and do not depend on where it ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ovsskit.run.rasters.grid import Grid, WindowSize, lay_grid, lay_spans

ANCHORS = st.integers(-(10**7), 10**7)


@st.composite
def sizes(draw: st.DrawFn) -> WindowSize:
    side = draw(st.integers(32, 200))
    return WindowSize(side, draw(st.integers(0, side // 2)))


@given(st.integers(1, 3000), ANCHORS, sizes())
def test_every_pixel_is_kept_once_from_a_window_of_full_size(
    length: int, anchor: int, windows: WindowSize
) -> None:
    spans = lay_spans(length, anchor, windows)
    assert [span.first for span in spans] == [0, *(span.last for span in spans[:-1])]
    assert spans[-1].last == length
    for span in spans:
        assert 0 <= span.start <= span.first < span.last <= span.stop <= length
        assert span.stop - span.start == min(windows.side, length)


@given(st.integers(400, 3000), ANCHORS, sizes(), st.data())
def test_away_from_its_edges_a_part_has_the_windows_of_the_whole(
    length: int, anchor: int, windows: WindowSize, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, length - 1), "cut")
    part = data.draw(st.integers(1, length - cut), "length of the part")

    def window_of(pixel: int, anchor: int, length: int) -> tuple[int, int]:
        [span] = [
            one for one in lay_spans(length, anchor, windows) if one.first <= pixel < one.last
        ]
        return span.start, span.stop

    if part <= 2 * windows.side:
        return
    pixel = data.draw(st.integers(windows.side, part - windows.side - 1), "pixel")
    start, stop = window_of(pixel, anchor + cut, part)
    assert window_of(pixel + cut, anchor, length) == (start + cut, stop + cut)


def test_a_grid_by_hand() -> None:
    windows = WindowSize(100, 20)
    assert lay_spans(100, 0, windows) == [(0, 100, 0, 100)]
    assert lay_spans(250, 0, windows) == [
        (0, 100, 0, 80),
        (70, 170, 80, 160),
        (150, 250, 160, 250),
    ]
    assert lay_spans(250, -7, windows) == [
        (0, 100, 0, 87),
        (77, 177, 87, 167),
        (150, 250, 167, 250),
    ]


def test_rows_come_from_the_windows_that_keep_them() -> None:
    grid = lay_grid((250, 90), (0, 0), WindowSize(100, 20))
    assert isinstance(grid, Grid)
    assert len(grid) == len(list(grid)) == 3
    assert [one.rows.first for one in grid.between(0, 80)] == [0]
    assert [one.rows.first for one in grid.between(79, 81)] == [0, 80]
    [first, *_] = grid
    assert (first.name, first.size) == ("0_0", (100, 90))
    assert first.inner == (slice(0, 80), slice(0, 90))
