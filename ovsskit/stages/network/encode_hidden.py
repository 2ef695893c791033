"""Run an image encoder up to its last blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Batch, Stage, layers_taken
from ovsskit.engine.values import Hidden, Image
from ovsskit.stages.attention._layers import Layers, layer_numbers


class EncodeHidden(Stage, writes="hidden"):
    """Return the tokens that enter the last block of an image encoder, and chosen earlier ones.

    Images keep their size. What the patches look at in these blocks is decided by the stages that
    follow.
    Source: the last block is replaced so by MaskCLIP, SCLIP, ClearCLIP, NACLIP, GEM and ITACLIP.

    Example:
        [[stage]]
        use = "encode_hidden"
        layers = [7, 8, 10, 12]
    """

    layers: Annotated[
        Layers | Literal["selected"],
        Field(
            description="blocks whose input is kept, from 1 or, negative, from the end; "
            "`selected`: what later stages name"
        ),
    ] = "selected"

    def run_batch(self, image: Batch[Image], backbone: EncodesTokens) -> Batch[Hidden]:
        """Return the tokens, class token first."""
        layers = (-1,) if isinstance(self.layers, str) else self.layers
        return backbone.hidden(image, layer_numbers(self.address, layers, backbone))

    def settle(self, following: Sequence[Stage]) -> EncodeHidden:
        """Return this stage with `selected` replaced by what the stages after it name."""
        picked = layers_taken(following, self.writes)
        keep = self.layers != "selected" or not picked
        return self if keep else self.model_copy(update={"layers": picked})
