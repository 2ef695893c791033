"""Add what patches gathered on two ways."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Gathered
from ovsskit.stages.attention._grids import refuse_other_grid


class AddGathered(Stage, writes="gathered"):
    """Add to what patches gathered what they gathered otherwise, such as from other tokens.

    Source: SC-CLIP, which adds what the sum of middle layers gathers in the last block.

    Example:
        [[stage]]
        use = "add_gathered"
        reads = { other = "gathered_of_sum" }
    """

    weight: Annotated[float, Field(description="factor of what is added")] = 1.0

    def run(self, gathered: Gathered, other: Gathered) -> Gathered:
        """Return the sum, as of the block of the first.

        Raises:
            BadValue: they are on other grids.
        """
        refuse_other_grid(self.address, gathered.grid, other.grid)
        return gathered.with_vectors(gathered.vectors + self.weight * other.vectors)
