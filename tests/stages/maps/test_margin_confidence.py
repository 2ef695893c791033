"""Undecided places score low, the order of classes stays, and the background takes what is low."""

from __future__ import annotations

import torch

from ovsskit.engine.values import Confidences, Image, Vocabulary
from ovsskit.stages.maps.label_map import LabelMap
from ovsskit.stages.maps.margin_confidence import MarginConfidence
from ovsskit.testing import example


def test_the_best_becomes_its_score_by_the_root_of_the_margin() -> None:
    data = torch.rand(3, 24, 35, generator=torch.Generator().manual_seed(0))
    found = MarginConfidence().run(Confidences(data, (1, 2, 3)))
    first, second = data.sort(0, descending=True).values[:2]
    torch.testing.assert_close(found.data.amax(0), first * (first - second).sqrt())
    assert torch.equal(found.data.argmax(0), data.argmax(0))
    labels = LabelMap(background_below=0.4**1.25).run(found, example(Vocabulary), example(Image))
    low = first * (first - second).sqrt() < 0.4**1.25
    assert torch.equal(labels.ids, (data.argmax(0) + 1).masked_fill(low, 0))


def test_a_lone_class_is_ahead_of_nothing() -> None:
    found = MarginConfidence().run(Confidences(torch.tensor([[[0.25, 1.0]]]), (1,)))
    assert found.data.tolist() == [[[0.125, 1.0]]]
