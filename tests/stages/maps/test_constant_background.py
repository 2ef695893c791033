from __future__ import annotations

import torch

from ovsskit.engine.values import Confidences
from ovsskit.stages.maps.constant_background import ConstantBackground


def test_background_wins_where_no_class_has_more() -> None:
    scores = Confidences(torch.tensor([[[0.1, 0.5, 0.2]], [[0.3, 0.2, 0.6]]]), (1, 2))
    found = ConstantBackground(at=0.4).run(scores)
    assert found.labels == (0, 1, 2)
    assert found.data.argmax(0).tolist() == [[0, 1, 2]]
    torch.testing.assert_close(found.data[0], torch.full((1, 3), 0.4))
    assert torch.equal(found.data[1:], scores.data)


def test_a_background_that_is_there_stays_alone() -> None:
    scores = Confidences(torch.rand(2, 3, 4), (1, 0))
    assert ConstantBackground().run(scores) is scores
