"""A recipe whose best parameters are known: stages without weights, a reward without masks, and one
that needs a judge.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from ovsskit.engine.model import EncodesImage
from ovsskit.engine.stage import Batch, Stage, Wrapper, Wraps
from ovsskit.engine.values import Image, Labels, Present, S, Saliency, Value

BEST = {"toy_shade.layer": 2, "toy_cut.at": 0.6}


@dataclass(frozen=True, eq=False)
class ToyReward(Value):
    """Hold how good a result is."""

    data: torch.Tensor


class ToyShade(Stage, writes="scores"):
    """Write the brightness of the image, dimmed by how far the layer is from the best one; stands
    for a network.
    """

    layer: Annotated[int, Field(ge=0, le=4, description="which layer")] = 0

    def run_batch(self, image: Batch[Image]) -> Batch[Saliency]:
        factor = 1 - 0.2 * abs(self.layer - 2)
        return [Saliency(one.data.mean(0, keepdim=True) * factor, (1,)) for one in image]


class ToyTwice(Wrapper, writes="scores"):
    """Run the inner chain, and take some of it away."""

    neutral = {"away": 0.0}
    away: Annotated[float, Field(ge=0, le=1, description="how much to take away")] = 0.0

    def run(self, image: Image) -> Wraps[S]:
        [out] = yield [{}]
        scores: Any = out["scores"]
        return scores.with_data(scores.data * (1 - self.away))


class ToyPresence(Stage, writes="present"):
    """Say that some images show the first class, and the others none."""

    shown: Annotated[tuple[str, ...], Field(description="names of the images that show it")] = ()

    def run(self, image: Image) -> Present:
        return Present((1,) if image.name in self.shown else ())


class ToyDim(Stage, writes="scores"):
    """Halve the scores."""

    by: Annotated[float, Field(ge=0, le=1, description="how much")] = 0.5

    def run(self, scores: S) -> S:
        return scores.with_data(scores.data * self.by)


class ToyCut(Stage, writes="labels"):
    """Label what is brighter than a value."""

    at: Annotated[float, Field(ge=0, le=1, description="the value")] = 0.1
    mode: Annotated[str, Field(description="sleep, fail")] = ""
    seconds: Annotated[float, Field(ge=0, description="how long to sleep at each image")] = 0.0

    def run(self, image: Image, scores: Saliency) -> Labels:
        time.sleep(self.seconds)
        if self.mode == "fail" or (self.mode == "fail above" and self.at > 0.5):
            raise ZeroDivisionError("this stage divides by zero")
        if self.mode == "die":
            os.kill(os.getpid(), 9)
        return Labels((scores.data[0] > self.at).long())


class ToyGoal(Stage, writes="reward"):
    """Reward results in which two fifths of the pixels are labelled: `at` 0.6 with layer 2, where
    brightness is even.
    """

    share: Annotated[float, Field(ge=0, le=1, description="the share that is best")] = 0.4
    empty: Annotated[bool, Field(description="find nothing to judge in any image")] = False
    only: Annotated[tuple[str, ...], Field(description="find something in these images alone")] = ()

    def run(self, image: Image, labels: Labels) -> ToyReward:
        reward = 1 - abs(float(labels.ids.float().mean()) - self.share) - 0.01 * (image.size[0] % 3)
        nothing = self.empty or (self.only and image.name not in self.only)
        return ToyReward(torch.tensor(float("nan") if nothing else reward))


class ToySmall(Stage, writes="reward"):
    """Reward results that label little: at odds with `toy_goal`."""

    def run(self, labels: Labels) -> ToyReward:
        return ToyReward(1 - labels.ids.float().mean())


class ToyJudged(Stage, writes="reward"):
    """Reward by a model of its own."""

    def run(self, image: Image, labels: Labels, judge: EncodesImage) -> ToyReward:
        return ToyReward(judge.encode_image([image]).mean())


class ToyBounded(Stage, writes="reward"):
    """Reward by a model of its own, half or less."""

    most: ClassVar[float] = 0.5

    def run(self, image: Image, labels: Labels, judge: EncodesImage) -> ToyReward:
        return ToyReward(0.5 / (1 + judge.encode_image([image]).mean().abs()))
