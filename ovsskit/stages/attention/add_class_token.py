"""Give every patch a share of the class token."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Gathered, Hidden
from ovsskit.stages.attention._layers import refuse_unkept


class AddClassToken(Stage, writes="gathered"):
    """Add to what every patch gathered in a block the class token that enters the block.

    Source: SC-CLIP, released code (0.3 of it).

    Example:
        [[stage]]
        use = "add_class_token"
        weight = 0.3
    """

    weight: Annotated[float, Field(description="how much of the class token")] = 0.3

    def run(self, gathered: Gathered, hidden: Hidden) -> Gathered:
        """Return the sum for every patch.

        Raises:
            BadValue: what enters the block was not kept.
        """
        refuse_unkept(self.address, (gathered.layer,), hidden)
        token = hidden.entering(gathered.layer)[0].float()
        return gathered.with_vectors(gathered.vectors + self.weight * token)
