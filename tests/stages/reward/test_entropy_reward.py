from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from ovsskit.engine.values import Probabilities
from ovsskit.stages.reward.entropy_reward import EntropyReward
from ovsskit.testing import example


def reward(data: torch.Tensor, balance: float = 0.0) -> float:
    return float(
        EntropyReward(balance=balance).run(Probabilities(data, tuple(range(len(data))))).data
    )


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_it_is_scipys_entropy(balance: float) -> None:
    scores = example(Probabilities)
    pixels = scores.data.double().numpy()
    unsure, varied = (
        entropy(pixels, axis=0).mean() / math.log(3),
        entropy(pixels.mean((1, 2))) / math.log(3),
    )
    assert float(EntropyReward(balance=balance).run(scores).data) == pytest.approx(
        1 - unsure + balance * varied, abs=1e-5
    )


def test_sure_even_and_undecided_images() -> None:
    even = torch.full((4, 3, 3), 0.25)
    sure = torch.eye(4)[:, torch.arange(16) % 4].reshape(4, 4, 4)
    assert reward(even) == pytest.approx(0, abs=1e-6)
    assert reward(sure) == reward(torch.eye(4)[:, :1, None]) == 1, "one class everywhere is as sure"
    assert np.allclose([reward(sure, 1.0), reward(torch.eye(4)[:, :1, None], 1.0)], [2, 1])


def test_one_map_has_no_entropy() -> None:
    assert math.isnan(reward(torch.ones(1, 3, 3)))
