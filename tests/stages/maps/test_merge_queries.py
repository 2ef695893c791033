from __future__ import annotations

import torch

from ovsskit.engine.values import NEGATIVE, Confidences, Probabilities
from ovsskit.stages.maps.merge_queries import MergeQueries


def test_the_best_text_of_a_class_wins() -> None:
    maps = torch.rand(6, 4, 5).softmax(0)
    merged = MergeQueries().run(Probabilities(maps, (0, 0, 2, 1, 2, 0)))
    assert isinstance(merged, Confidences)
    assert merged.labels == (0, 1, 2)
    for index, mine in enumerate(([0, 1, 5], [3], [2, 4])):
        assert torch.equal(merged.data[index], maps[mine].amax(0))


def test_one_text_each_changes_nothing() -> None:
    maps = torch.rand(3, 4, 5).softmax(0)
    assert torch.equal(MergeQueries().run(Probabilities(maps, (1, 2, 3))).data, maps)


def test_maps_come_in_the_order_of_labels() -> None:
    maps = torch.rand(2, 4, 5).softmax(0)
    assert torch.equal(MergeQueries().run(Probabilities(maps, (2, 1))).data, maps.flip(0))


def test_negatives_have_competed_and_are_left_out() -> None:
    maps = torch.rand(4, 4, 5).softmax(0)
    merged = MergeQueries().run(Probabilities(maps, (2, 1, NEGATIVE, NEGATIVE)))
    assert merged.labels == (1, 2)
    assert torch.equal(merged.data, maps[[1, 0]])
