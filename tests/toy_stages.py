"""Stages without a network: a class is a colour, and a pixel belongs to the nearest one."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import Annotated

import torch
from pydantic import Field

from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Labels, Probabilities, Saliency, Vocabulary

log = logging.getLogger("ovsskit.toy")
COLOURS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "white": (1.0, 1.0, 1.0),
}


class ToyColours(Stage, writes="scores"):
    """Score how near each pixel is to the colour that each class names."""

    seconds: Annotated[float, Field(ge=0, description="how long to sleep at each image")] = 0.0
    fail_at: Annotated[str, Field(description="name of an image to fail at")] = ""

    def run_batch(self, image: Batch[Image], vocabulary: Batch[Vocabulary]) -> Batch[Saliency]:
        return [self._score(*pair) for pair in zip(image, vocabulary, strict=True)]

    def _score(self, image: Image, vocabulary: Vocabulary) -> Saliency:
        signals = {"KILL": "SIGKILL", "STOP": "SIGINT", "END": "SIGTERM"}
        for name, number in signals.items():
            if os.environ.get(f"TOY_{name}_AT") == image.name:
                os.kill(os.getpid(), getattr(signal, number))
        if self.fail_at in (image.name, "all"):
            raise ZeroDivisionError("this image divides by zero")
        time.sleep(self.seconds)
        if len(vocabulary.names) == 1:
            log.info("one class only: every pixel gets it")
        colours = torch.tensor([COLOURS.get(name, (0.5, 0.5, 0.5)) for name in vocabulary.names])
        distance = (image.data[None] - colours[:, :, None, None]).norm(dim=1)
        return Saliency((2 - distance).clamp(min=0), tuple(range(1, len(vocabulary.names) + 1)))


class ToySoftmax(Stage, writes="scores"):
    """Turn scores into probabilities."""

    def run(self, scores: Saliency) -> Probabilities:
        return Probabilities((scores.data * 5).softmax(0), scores.labels)


class ToyLabels(Stage, writes="labels"):
    """Take the class with the best score."""

    def run(self, scores: Probabilities, vocabulary: Vocabulary) -> Labels:
        ids = torch.tensor([vocabulary.ids[label] for label in scores.labels])
        return Labels(ids[scores.data.argmax(0)])
