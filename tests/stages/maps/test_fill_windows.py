"""Sizes are those of the released code's rule, by hand."""

from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Image
from ovsskit.stages.maps.fill_windows import FillWindows


@pytest.mark.parametrize(
    ("before", "window", "stride", "after"),
    [
        ((200, 300), 224, 112, (224, 336)),
        ((240, 336), 224, 112, (336, 336)),  # proportions change
        ((200, 300), 336, 224, (448, 448)),
        ((336, 504), 336, 224, (448, 672)),
        ((336, 224), 336, 112, (336, 224)),  # multiples, if smaller than the window
        ((336, 225), 336, 112, (336, 336)),
        ((50, 60), 224, 112, (224, 224)),  # never below the window
        ((199, 448), 112, 112, (224, 448)),
        ((333, 500), 224, 1, (333, 500)),
    ],
)
def test_sizes(before: tuple[int, int], window: int, stride: int, after: tuple[int, int]) -> None:
    image = Image(torch.rand(3, *before, generator=torch.Generator().manual_seed(0)))
    found = FillWindows(window=window, stride=stride).run(image)
    assert found.size == after
    if before == after:
        assert found is image


def test_colours_are_mixed_bilinearly_between_edges() -> None:
    image = Image(torch.tensor([0.0, 1.0])[None, None].expand(3, 1, 2))
    found = FillWindows(window=4, stride=3).run(image)
    assert found.size == (4, 4)
    expected = torch.tensor([0.0, 0.25, 0.75, 1.0]).expand(3, 4, 4)
    torch.testing.assert_close(found.data, expected)
