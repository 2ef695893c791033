"""Rule out texts of which no patch is sure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Logits

RULED_OUT = -100.0
"""What cosines never reach."""


class PromptDenoising(Stage, writes="scores"):
    """Set the map of every text to -100 if its probability is below a threshold everywhere.

    Probabilities are the softmax over all texts of the scaled scores. If every text is ruled out,
    no place prefers any.
    Source: MaskCLIP, released code (`pd_thresh`, off by default; 0.5 in its configurations for
    MaskCLIP+).

    Example:
        [[stage]]
        use = "prompt_denoising"
        below = 0.5
    """

    scale: Annotated[
        float, Field(gt=0, description="what scores are multiplied by before the softmax")
    ] = 100.0
    below: Annotated[
        float,
        Field(ge=0, le=1, description="a text that is nowhere as probable as this is ruled out"),
    ] = 0.5

    def run(self, scores: Logits) -> Logits:
        """Return the maps, those of ruled-out texts replaced."""
        best = (scores.data * self.scale).softmax(0).amax((1, 2), keepdim=True)
        return scores.with_data(torch.where(best < self.below, RULED_OUT, scores.data))
