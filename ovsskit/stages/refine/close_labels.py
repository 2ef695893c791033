"""Close small gaps in the label map."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import kornia, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Labels

HIGHEST = 1e6
"""Above every id in a mask; stands for what lies outside."""


class CloseLabels(Stage, writes="labels"):
    """Close the label map morphologically: take the maximum around every pixel, then the minimum.

    It acts on the ids themselves, so that gaps in a class of a high id are closed at the
    cost of lower ones, and the result depends on the order of the classes. Pixels at the border see
    only neighbours inside.
    Source: ITACLIP, released code (3 x 3), which holds labels in bytes; here all ids up to
    65535 are exact.

    Example:
        [[stage]]
        use = "close_labels"
        size = 5
    """

    size: Annotated[int, Field(ge=1, description="side of the square of neighbours, in pixels")] = 3

    def run(self, labels: Labels) -> Labels:
        """Return the closed label map."""
        square = torch.ones(self.size, self.size, device=labels.ids.device)
        closed = kornia.morphology.closing(labels.ids[None, None].float(), square, max_val=HIGHEST)
        return Labels(closed[0, 0].to(labels.ids.dtype))
