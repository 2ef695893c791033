from __future__ import annotations

import numpy as np
import pytest
import torch
from sampling import bilinear
from scipy.interpolate import RegularGridInterpolator

from ovsskit.engine.values import Image, Logits
from ovsskit.stages.maps.upsample import Upsample


def test_against_scipy() -> None:
    data = torch.rand(2, 4, 5)
    found = Upsample().run(Logits(data, (1, 2)), Image(torch.zeros(3, 13, 22)))
    assert isinstance(found, Logits)
    rows, columns = np.meshgrid(np.linspace(0, 3, 13), np.linspace(0, 4, 22), indexing="ij")
    for plane, mine in zip(data.numpy(), found.data.numpy(), strict=True):
        expected = RegularGridInterpolator((np.arange(4), np.arange(5)), plane)((rows, columns))
        np.testing.assert_allclose(mine, expected, atol=1e-5)


def test_maps_of_a_large_image_stop_at_the_longer_side() -> None:
    found = Upsample(longer_side=20).run(
        Logits(torch.rand(2, 4, 5), (1, 2)), Image(torch.zeros(3, 40, 10))
    )
    assert found.data.shape == (2, 20, 5)


@pytest.mark.parametrize("size", [(12, 15), (13, 22), (3, 40)])
def test_edges_on_edges(size: tuple[int, int]) -> None:
    data = torch.rand(2, 4, 5)
    found = Upsample(align="edges").run(Logits(data, (1, 2)), Image(torch.zeros(3, *size)))
    torch.testing.assert_close(found.data.double(), bilinear(data, size), atol=1e-6, rtol=0)
