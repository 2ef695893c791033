from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax

from ovsskit.engine.values import Logits, Probabilities
from ovsskit.stages.maps.softmax import Softmax


def test_against_scipy() -> None:
    data = torch.randn(3, 4, 5)
    found = Softmax(scale=4.0).run(Logits(data, (1, 2, 3)))
    assert isinstance(found, Probabilities)
    np.testing.assert_allclose(
        found.data.numpy(), softmax(4 * data.numpy(), 0), rtol=1e-4, atol=1e-7
    )
