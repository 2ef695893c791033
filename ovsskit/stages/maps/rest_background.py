"""Give the background what the classes leave."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences, Saliency


class RestBackground(Stage, writes="scores"):
    """Take maps from 0 to 1 as confidences, and put one of the background first: 1 less the best.

    A place is background where no class reaches a half; `background` is for maps that are zero
    where no class is. Maps with one of the background keep it.
    Source: CLIP-ES and TagCLIP, released code, which keeps maps in half precision, so that equal
    ones are frequent.

    Example:
        [[stage]]
        use = "rest_background"
        precision = "half"
    """

    when: Annotated[
        Literal["always", "never"],
        Field(description="`never`: every pixel is of a class, as in data without background"),
    ] = "always"
    precision: Annotated[
        Literal["single", "half"], Field(description="to what the maps are rounded first")
    ] = "single"

    def run(self, scores: Saliency) -> Confidences:
        """Return the maps with that of the background (label 0) first."""
        data = scores.data if self.precision == "single" else scores.data.half()
        labels = scores.labels
        if self.when == "always" and labels[:1] != (0,):
            data, labels = torch.cat([1 - data.amax(0, keepdim=True), data]), (0, *labels)
        return Confidences(data.to(scores.data.dtype), labels)
