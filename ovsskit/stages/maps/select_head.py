"""Pick one layer and one head of the cross-attention."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import CrossAttention
from ovsskit.errors import BadValue


class SelectHead(Stage, writes="attention"):
    """Keep one layer of the cross-attention, and one of its heads or all of them.

    Source: PnP-OVSS, released code (layer 8 counted from 1 and head 9 counted from 0, for all
    data).

    Example:
        [[stage]]
        use = "select_head"
        layer = 8
        head = 9
    """

    layer: Annotated[int, Field(ge=1, description="layer of the text encoder, counted from 1")] = 8
    head: Annotated[
        Annotated[int, Field(ge=0)] | Literal["all"],
        Field(description="head, counted from 0, or `all`"),
    ] = 9

    def run(self, attention: Annotated[CrossAttention, TakesLayers("layer")]) -> CrossAttention:
        """Return the attention of the chosen layer and head.

        Raises:
            BadValue: the network has no such layer or head, or the layer was not kept.
        """
        if self.layer not in attention.layers:
            kept = ", ".join(map(str, attention.layers))
            raise BadValue(
                f"{self.address}.layer is {self.layer}, "
                f"and the cross-attention holds the layers {kept}."
            )
        if self.head != "all" and self.head not in attention.heads:
            heads = ", ".join(map(str, attention.heads))
            raise BadValue(
                f"{self.address}.head is {self.head}, "
                f"and the cross-attention holds the heads {heads}."
            )
        return attention.pick(
            (self.layer,), attention.heads if self.head == "all" else (self.head,)
        )
