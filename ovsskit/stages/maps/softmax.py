"""Turn scores into probabilities."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Probabilities, Scores

ROWS = 64
"""How many rows of the maps are computed at a time, so that there is no third copy of all maps."""


class Softmax(Stage, writes="scores"):
    """Turn scores into probabilities over the classes, at every place.

    Source: PnP-OVSS, released code (inside its call of the dense CRF, on maps from 0 to 1, scale
    1).

    Example:
        [[stage]]
        use = "softmax"
        scale = 100.0
    """

    scale: Annotated[
        float, Field(gt=0, description="the scores are multiplied by this first; high is sharp")
    ] = 1.0

    def run(self, scores: Scores) -> Probabilities:
        """Return maps that sum to 1 at every place."""
        probabilities = torch.empty_like(scores.data)
        for found, rows in zip(
            probabilities.split(ROWS, 1), scores.data.split(ROWS, 1), strict=True
        ):
            found.copy_((rows * self.scale).softmax(0))
        return Probabilities(probabilities, scores.labels)
