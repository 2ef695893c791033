"""Classes of which no place is sure are 0 everywhere; the others stay as they are."""

from __future__ import annotations

import torch

from ovsskit.engine.values import Confidences
from ovsskit.stages.maps.prune_classes import PruneClasses

MAPS = torch.tensor([[[0.5, 0.1]], [[0.49, 0.3]], [[0.01, 0.6]]])


def test_the_largest_probability_decides() -> None:
    found = PruneClasses(below=0.5).run(Confidences(MAPS, (1, 2, 3)))
    expected = torch.tensor([[[0.5, 0.1]], [[0.0, 0.0]], [[0.01, 0.6]]])
    assert torch.equal(found.data, expected)
    assert found.labels == (1, 2, 3)


def test_nothing_is_below_0_and_everything_below_more_than_1() -> None:
    scores = Confidences(MAPS, (1, 2, 3))
    assert torch.equal(PruneClasses(below=0.0).run(scores).data, MAPS)
    assert not PruneClasses(below=1.1).run(scores).data.any()
