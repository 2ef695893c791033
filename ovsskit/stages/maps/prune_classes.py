"""Take out the classes of which no place is sure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences


class PruneClasses(Stage, writes="scores"):
    """Set the map of every class to 0 whose probability is below a threshold everywhere.

    The others stay as they are, so that they sum to less than before. Where all classes are
    taken out, all places are the first class. It looks at the maps that it reads: of the patches,
    or after `upsample` of the pixels, where the best are a little lower.
    Source: RADSeg (arXiv 2511.19704, prompt denoising), released code (0.5, of the pixels); after
    MaskCLIP, whose `prompt_denoising` takes texts out before the probabilities are made.

    Example:
        [[stage]]
        use = "prune_classes"
        below = 0.5
    """

    below: Annotated[
        float,
        Field(ge=0, description="a class that is nowhere as probable as this is taken out"),
    ] = 0.5

    def run(self, scores: Confidences) -> Confidences:
        """Return the maps, those of classes that were taken out at 0."""
        best = scores.data.amax((1, 2), keepdim=True)
        pruned = torch.where(best < self.below, 0.0, scores.data)
        return Confidences(pruned, scores.labels)
