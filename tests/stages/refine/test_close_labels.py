from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter, minimum_filter

from ovsskit.engine.values import Labels
from ovsskit.stages.refine.close_labels import CloseLabels


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("shape", [(40, 57), (2, 9), (1, 1)])
@pytest.mark.parametrize("highest", [20, 171, 65535])
def test_against_scipy(size: int, shape: tuple[int, int], highest: int) -> None:
    labels = np.random.default_rng(0).integers(0, highest + 1, shape)
    labels[0, 0] = highest
    wide = maximum_filter(labels, size, mode="constant", cval=-1)
    expected = minimum_filter(wide, size, mode="constant", cval=highest + 1)
    closed = CloseLabels(size=size).run(Labels(torch.from_numpy(labels)))
    assert closed.ids.dtype == torch.int64
    assert np.array_equal(closed.ids.numpy(), expected)


def test_a_hole_is_closed() -> None:
    labels = torch.full((7, 7), 9)
    labels[3, 3] = 4
    assert CloseLabels().run(Labels(labels)).ids.unique().tolist() == [9]
