"""Let the background win where no class is sure enough."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences


class ConstantBackground(Stage, writes="scores"):
    """Put a map of the background first that has one value everywhere.

    So the background is where no class has more, as with `label_map.background_below`; but stages
    that come after this one, such as windows that are averaged, see it. Maps with one of the
    background keep it.
    Source: TCL, released code (0.4; 0.5 without PAMR).

    Example:
        [[stage]]
        use = "constant_background"
        at = 0.4
    """

    at: Annotated[float, Field(ge=0, le=1, description="the value of the background")] = 0.5

    def run(self, scores: Confidences) -> Confidences:
        """Return the maps, that of the background (label 0) first."""
        if 0 in scores.labels:
            return scores
        plane = torch.full_like(scores.data[:1], self.at)
        return Confidences(torch.cat([plane, scores.data]), (0, *scores.labels))
