"""A stage of one's own: use it with --plugin sharpen.py."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit import Probabilities, Stage


class Sharpen(Stage, writes="scores"):
    """Raise probabilities to a power and renormalise over classes."""

    power: Annotated[float, Field(gt=0, description="above 1 sharpens, below 1 softens")] = 2.0

    def run(self, scores: Probabilities) -> Probabilities:
        """Return probabilities that still sum to one."""
        raised = scores.data**self.power
        return scores.with_data(raised / raised.sum(0, keepdim=True))
