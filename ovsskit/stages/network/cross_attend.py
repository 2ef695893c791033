"""Run the network: what do the words look at, and what of it makes the image match?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from ovsskit.engine.model import CrossAttends, Objective
from ovsskit.engine.stage import Batch, Stage, layers_taken
from ovsskit.engine.values import Captions, CrossAttention, Image


class CrossAttend(Stage, writes="attention"):
    """Return the attention of every word to every patch, and the objective's gradient in it.

    By default only the layers that `select_head` stages after it pick are kept, and an image does
    not depend on its batch mates. Source: PnP-OVSS, released code (gradient of the match logit).

    Example:
        [[stage]]
        use = "cross_attend"
        layers = [8]
        objective = "match_loss"
    """

    layers: Annotated[
        tuple[PositiveInt, ...] | Literal["selected", "all"],
        Field(
            description="layers to keep, from 1; `selected`: those that select_head picks later, "
            "all if there is none"
        ),
    ] = "selected"
    objective: Annotated[
        Objective,
        Field(
            description="the match logit (released code), or its ITM loss with the sign turned, "
            "so that high means match"
        ),
    ] = "match_logit"
    pad_to: Annotated[
        int,
        Field(
            ge=0, description="pad captions to this many tokens, as batches of the released code do"
        ),
    ] = 0

    def run_batch(
        self, image: Batch[Image], captions: Batch[Captions], backbone: CrossAttends
    ) -> Batch[CrossAttention]:
        """Return the attention and its gradient, without a graph."""
        return backbone.cross_attention(
            image,
            captions,
            layers=None if isinstance(self.layers, str) else self.layers,
            objective=self.objective,
            pad_to=self.pad_to,
        )

    def settle(self, following: Sequence[Stage]) -> CrossAttend:
        """Return this stage with `selected` replaced by what the stages after it pick."""
        picked = layers_taken(following, self.writes)
        keep = self.layers != "selected" or not picked
        return self if keep else self.model_copy(update={"layers": picked})
