"""Add a map for the background."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Saliency

FEW = 3


class Background(Stage, writes="scores"):
    """Put a map of the background first, unless there is one: 1 where no class is, else 0.

    Source: PnP-OVSS, released code: always for VOC and COCO-Object; for Context, ADE20K and
    COCO-Stuff only in images with fewer than 3 classes.

    Example:
        [[stage]]
        use = "background"
        when = "few_classes"
    """

    when: Annotated[
        Literal["always", "few_classes", "never"],
        Field(description="`few_classes`: in images said to show fewer than 3 classes"),
    ] = "always"

    def run(self, scores: Saliency) -> Saliency:
        """Return the maps with that of the background (label 0) first, where the rule adds it."""
        has_one = 0 in scores.labels
        if (
            has_one
            or self.when == "never"
            or (self.when == "few_classes" and len(scores.labels) >= FEW)
        ):
            return scores
        empty = (scores.data.amax(0, keepdim=True) == 0).to(scores.data.dtype)
        return Saliency(torch.cat([empty, scores.data]), (0, *scores.labels))
