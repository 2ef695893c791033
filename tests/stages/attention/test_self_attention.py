from __future__ import annotations

from typing import Literal

import pytest
import torch

from ovsskit.engine.values import Similarity
from ovsskit.stages.attention.self_attention import SelfAttention
from ovsskit.testing import example


@pytest.mark.parametrize(("terms", "total"), [("sum", 2.0), ("mean", 1.0)])
def test_every_term_gets_its_own_softmax(terms: Literal["sum", "mean"], total: float) -> None:
    given = example(Similarity)
    found = SelfAttention(terms=terms).run(given)
    weights = given.data.double().exp()
    expected = (weights / weights.sum(-1, keepdim=True)).sum(1) * total / 2
    torch.testing.assert_close(found.data.double(), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.data.sum(-1), torch.full(found.data.shape[:-1], total))
    assert (found.layers, found.grid) == (given.layers, given.grid)
