from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.fit.artificial import draw_grids, enlarge


@given(seed=st.integers(0, 2**31), classes=st.integers(1, 30), side=st.integers(1, 8))
def test_every_place_takes_the_cell_that_it_lies_in(seed: int, classes: int, side: int) -> None:
    grids = draw_grids(torch.Generator().manual_seed(seed), 3, classes, side)
    found = enlarge(grids, side)
    for grid, patches, pixels in zip(grids, found.patches, found.pixels, strict=True):
        assert 1 <= grid.shape[0] <= side
        assert 1 <= grid.shape[1] <= side
        assert int(grid.max()) < classes
        for size, mine in ((side, patches), (side * 16, pixels)):
            rows, columns = (np.arange(size) * length // size for length in grid.shape)
            np.testing.assert_array_equal(mine.numpy(), grid.numpy()[rows][:, columns])


def test_all_sizes_and_classes_are_drawn() -> None:
    grids = draw_grids(torch.Generator().manual_seed(0), 2000, 4, 3)
    counts = {
        shape: sum(tuple(grid.shape) == shape for grid in grids)
        for shape in {tuple(grid.shape) for grid in grids}
    }
    assert len(counts) == 9
    assert min(counts.values()) > 2000 / 9 * 0.7
    cells = torch.cat([grid.flatten() for grid in grids]).bincount(minlength=4)
    assert cells.min() > 0.9 * cells.float().mean()
