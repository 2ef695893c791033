"""Zero what lies low in each class's map."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.stage import PerClass, S, Stage
from ovsskit.engine.values import Vocabulary


class Threshold(Stage, writes="scores"):
    """Zero what lies under a fraction of each class's range, and keep the rest as it is.

    A constant map has no range and becomes zero. A class's own fraction, in `at_class`, is ours.
    Source: PnP-OVSS, released code (threshold 0.15 on min-max scaled maps).

    Example:
        [[stage]]
        use = "threshold"
        at = 0.3
        at_class = { dog = 0.5 }
    """

    at: Annotated[
        float,
        Field(
            ge=0, le=1, description="fraction of the class's range below which a place is dropped"
        ),
    ] = 0.15
    at_class: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1)]],
        PerClass("at"),
        Field(description="the same for single classes, by name"),
    ] = {}

    def run(self, scores: S, vocabulary: Vocabulary) -> S:
        """Return the maps with their low places at zero."""
        low, high = scores.data.amin((1, 2), keepdim=True), scores.data.amax((1, 2), keepdim=True)
        scaled = (scores.data - low) / (high - low)
        names = [vocabulary.name_of(label) for label in scores.labels]
        least = send_numbers([self.at_class.get(name, self.at) for name in names], scaled)
        return scores.with_data(torch.where(scaled >= least[:, None, None], scores.data, 0))
