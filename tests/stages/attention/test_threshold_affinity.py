from __future__ import annotations

import torch

from ovsskit.engine.values import PatchSimilarity
from ovsskit.stages.attention.threshold_affinity import ThresholdAffinity


def test_what_is_alike_enough_is_weighed_by_how_alike_it_is() -> None:
    data = torch.tensor([[1.0, 0.6, 0.3], [0.6, 1.0, 0.4], [0.3, 0.4, 1.0]])
    found = ThresholdAffinity(at=0.4).run(PatchSimilarity(data, (1, 3))).data
    expected = torch.tensor([[1 / 1.6, 0.6 / 1.6, 0], [0.3, 0.5, 0.2], [0, 0.4 / 1.4, 1 / 1.4]])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_row_without_any_has_no_weights() -> None:
    found = ThresholdAffinity(at=0.5).run(PatchSimilarity(torch.zeros(2, 2), (1, 2)))
    assert not found.data.any()
