"""Take a result for good that is sure of itself, and not of one thing everywhere."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Probabilities, Reward


class EntropyReward(Stage, writes="reward"):
    """Reward sure probabilities: 1 minus their mean entropy over the pixels, from 0 to 1.

    Being sure does not mean being right: a softmax with a larger scale is surer, and so is one
    class everywhere. So the entropy of the image's mean probabilities is added, times `balance`; at
    1 the sum is 1 plus the information that a pixel's place gives on its class. An image of one map
    has no entropy, and no reward (not a number).

    Example:
        [[stage]]
        use = "entropy_reward"
        balance = 0.5
    """

    balance: Annotated[
        float, Field(ge=0, description="weight of the entropy of the mean probabilities")
    ] = 1.0

    def run(self, scores: Probabilities) -> Reward:
        """Return the reward of one image."""
        count = len(scores.data)
        if count == 1:
            return Reward(scores.data.new_full((), torch.nan))
        flat = scores.data.flatten(1)
        unsure, varied = (
            entropy(flat).mean() / math.log(count),
            entropy(flat.mean(1)) / math.log(count),
        )
        return Reward(1 - unsure + self.balance * varied)


def entropy(probability: Float[torch.Tensor, "class *pixel"]) -> Float[torch.Tensor, "*pixel"]:
    """Return the entropy in nats over the first axis."""
    found: torch.Tensor = torch.special.entr(probability).sum(0)
    return found
