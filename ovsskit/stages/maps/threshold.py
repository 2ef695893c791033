"""Zero what lies low in each class's map."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import S, Stage


class Threshold(Stage, writes="scores"):
    """Zero what lies under a fraction of each class's range, and keep the rest as it is.

    A constant map has no range and becomes zero.
    Source: PnP-OVSS, released code (threshold 0.15 on min-max scaled maps).

    Example:
        [[stage]]
        use = "threshold"
        at = 0.3
    """

    at: Annotated[
        float,
        Field(
            ge=0, le=1, description="fraction of the class's range below which a place is dropped"
        ),
    ] = 0.15

    def run(self, scores: S) -> S:
        """Return the maps with their low places at zero."""
        low, high = scores.data.amin((1, 2), keepdim=True), scores.data.amax((1, 2), keepdim=True)
        scaled = (scores.data - low) / (high - low)
        return scores.with_data(torch.where(scaled >= self.at, scores.data, 0))
