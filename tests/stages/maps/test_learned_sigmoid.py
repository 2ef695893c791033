from __future__ import annotations

import torch

from ovsskit.engine.model.grounds_text import ToyGroundsText
from ovsskit.engine.values import Logits
from ovsskit.stages.maps.learned_sigmoid import LearnedSigmoid
from ovsskit.stages.maps.sigmoid import Sigmoid
from ovsskit.testing import example


def test_numbers_are_the_models_own() -> None:
    scores = example(Logits)
    found = LearnedSigmoid().run(scores, ToyGroundsText())
    expected = Sigmoid(scale=5.0, bias=-1.0).run(scores)
    assert torch.equal(found.data, expected.data)
