from __future__ import annotations

import numpy as np
import torch

from ovsskit.engine.values import Saliency
from ovsskit.stages.maps.threshold import Threshold


def test_against_numpy_and_a_constant_map_is_zero() -> None:
    data = torch.rand(4, 5, 6)
    data[2] = 0.7
    found = Threshold(at=0.3).run(Saliency(data, (1, 2, 3, 4))).data.numpy()
    for plane, mine in zip(data.numpy(), found, strict=True):
        spread = np.ptp(plane)
        expected = (
            np.where((plane - plane.min()) >= 0.3 * spread, plane, 0)
            if spread
            else np.zeros_like(plane)
        )
        np.testing.assert_allclose(mine, expected, rtol=1e-6)
