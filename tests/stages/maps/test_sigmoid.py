from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Confidences, Logits
from ovsskit.stages.maps.sigmoid import Sigmoid


@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.0), (10.0, -2.5), (0.3, 4.0)])
def test_every_score_becomes_a_confidence_of_its_own(scale: float, bias: float) -> None:
    scores = Logits(torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)), (2, 1, 1))
    found = Sigmoid(scale=scale, bias=bias).run(scores)
    Confidences.check(found)
    torch.testing.assert_close(found.data, 1 / (1 + torch.exp(-scale * scores.data - bias)))
    assert found.labels == (2, 1, 1)
    # other than after a softmax, a class does not depend on the others
    alone = Sigmoid(scale=scale, bias=bias).run(Logits(scores.data[:1], (2,)))
    torch.testing.assert_close(alone.data, found.data[:1])
