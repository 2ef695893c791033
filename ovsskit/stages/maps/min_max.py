"""Scale each class's map to the range from 0 to 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Saliency, Scores


class MinMax(Stage, writes="scores"):
    """Scale each map to the range from 0 to 1.

    A constant map has no range. It is kept, cut to 0 and 1, or becomes zero, as in CLIP-ES; the
    released code of PnP-OVSS divides by zero, which later makes the whole image background. That
    code also leaves a map alone that is
    an image's only one, background aside. GEM scales the cosines of each class so.

    Example:
        [[stage]]
        use = "min_max"
        constant = "nan"
    """

    constant: Annotated[
        Literal["keep", "zero", "nan"],
        Field(description="what becomes of a constant map; `nan` as PnP-OVSS is released"),
    ] = "keep"
    only_map: Annotated[
        Literal["scale", "keep"],
        Field(description="what becomes of a lone map; `keep` as released"),
    ] = "scale"
    epsilon: Annotated[
        float, Field(ge=0, description="added to a map's range; CLIP-ES has 1e-7")
    ] = 0.0

    def run(self, scores: Scores) -> Saliency:
        """Return the maps, scaled."""
        if self.only_map == "keep" and len(scores.labels) == 1:
            return Saliency(scores.data, scores.labels)
        low, high = scores.data.amin((1, 2), keepdim=True), scores.data.amax((1, 2), keepdim=True)
        scaled = (scores.data - low) / (high - low + self.epsilon)
        if self.constant != "nan":
            other = scores.data.clamp(0, 1) if self.constant == "keep" else 0.0
            scaled = torch.where(high > low, scaled, other)
        return Saliency(scaled, scores.labels)
