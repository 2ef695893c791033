"""What a candidate costs, when some of its results were known."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.memo import Memo, remember, remembering
from ovsskit.engine.store import Store
from ovsskit.stages.refine.dense_crf import DenseCrf
from ovsskit.study.search.cost_meter import CostMeter, Costs


def test_what_was_remembered_counts_with_what_it_took() -> None:
    memo, costs = Memo(100), Costs()

    def cost(stage: Any, asked: list[str], seconds: float) -> float:
        """Return what two images cost at a stage that asks the memo for these."""
        meter = CostMeter(costs, Store(), memo, set(), "label_map", "cpu")
        with remembering(memo):
            for one in asked:
                remember((one,), lambda: torch.zeros(1))
        meter(stage, [{}, {}], seconds)
        return meter.seconds

    assert cost(DenseCrf(), ["lattice", "maps"], 4.0) == 4.0
    assert cost(DenseCrf(), ["maps"], 0.0) == pytest.approx(4.0), "it was remembered"
    assert cost(DenseCrf(), ["other maps", "lattice"], 1.0) == 1.0, "it was computed in part"
    assert cost(DenseCrf(), [], 1.0) == 1.0, "it asked for nothing"
    assert cost(DenseCrf(steps=3), ["maps"], 0.5) == 0.5, "nothing is known of these settings"
