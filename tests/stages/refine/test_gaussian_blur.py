from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ovsskit.engine.values import Saliency
from ovsskit.stages.refine.gaussian_blur import GaussianBlur


@pytest.mark.parametrize("size", [(40, 57), (3, 90), (1, 1), (31, 2)])
@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_against_scipy(size: tuple[int, int], sigma: float) -> None:
    data = torch.rand(3, *size)
    found = GaussianBlur(sigma=sigma).run(Saliency(data, (1, 2, 3))).data
    expected = [gaussian_filter(plane, sigma * max(size)) for plane in data.numpy()]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_constant_map_stays_constant_to_the_bit() -> None:
    data = torch.ones(1, 75, 100)
    assert torch.equal(GaussianBlur().run(Saliency(data, (0,))).data, data)
    assert torch.equal(GaussianBlur(sigma=0.0).run(Saliency(data, (0,))).data, data)
