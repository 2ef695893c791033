from __future__ import annotations

import torch

from ovsskit.engine.values import NEGATIVE, Logits
from ovsskit.stages.maps.merge_logits import MergeLogits


def test_the_best_text_of_a_class_wins() -> None:
    maps = torch.randn(5, 4, 5)
    merged = MergeLogits().run(Logits(maps, (0, 2, 1, 2, 0)))
    assert isinstance(merged, Logits)
    assert merged.labels == (0, 1, 2)
    for index, mine in enumerate(([0, 4], [2], [1, 3])):
        assert torch.equal(merged.data[index], maps[mine].amax(0))


def test_negatives_go_on_to_compete_as_one() -> None:
    maps = torch.randn(4, 4, 5)
    merged = MergeLogits().run(Logits(maps, (1, NEGATIVE, 2, NEGATIVE)))
    assert merged.labels == (NEGATIVE, 1, 2)
    assert torch.equal(merged.data[0], maps[[1, 3]].amax(0))
