from __future__ import annotations

import numpy as np
import torch

from ovsskit.engine.values import Saliency
from ovsskit.stages.maps.min_max import MinMax

DATA = torch.stack(
    [torch.rand(3, 4) * 5 - 1, torch.zeros(3, 4), torch.ones(3, 4), torch.full((3, 4), 7.0)]
)
SCORES = Saliency(DATA, (0, 1, 2, 3))


def test_scaled_and_constant_maps_kept() -> None:
    found = MinMax().run(SCORES).data.numpy()
    plane = DATA[0].numpy()
    np.testing.assert_allclose(found[0], (plane - plane.min()) / np.ptp(plane), rtol=1e-5)
    assert [float(one.max()) for one in found[1:]] == [0, 1, 1]


def test_released_constant_maps_and_a_lone_map() -> None:
    assert MinMax(constant="nan").run(SCORES).data.isnan().flatten(1).all(1).tolist() == [
        False,
        True,
        True,
        True,
    ]
    lone = Saliency(DATA[:1], (4,))
    torch.testing.assert_close(MinMax(only_map="keep").run(lone).data, lone.data)
    assert float(MinMax().run(lone).data.amax()) == 1


def test_something_is_added_to_the_range_and_constant_maps_become_zero() -> None:
    found = MinMax(constant="zero", epsilon=0.5).run(SCORES).data.numpy()
    plane = DATA[0].numpy()
    expected = (plane - plane.min()) / (np.ptp(plane) + 0.5)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    assert not found[1:].any()
