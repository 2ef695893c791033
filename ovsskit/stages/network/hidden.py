"""Run an image encoder up to its last blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Slots, Stage, Wrapper, wiring
from ovsskit.engine.values import Hidden as Tokens
from ovsskit.engine.values import Image
from ovsskit.stages.attention._layers import Layers, layer_numbers


class Hidden(Stage, writes="hidden"):
    """Return the tokens that enter the last block of an image encoder, and those that enter chosen earlier ones.

    Images keep their size. What the patches look at in these blocks is decided by the stages that follow.
    Source: the last block is replaced so by MaskCLIP, SCLIP, ClearCLIP, NACLIP, GEM and ITACLIP.
    """

    network = True

    layers: Annotated[
        Layers | Literal["selected"],
        Field(
            description="blocks whose input is kept, from 1 or, negative, from the end; `selected`: what later stages name"
        ),
    ] = "selected"

    def run(self, image: Image, backbone: EncodesPatches) -> Tokens:
        """Return the tokens, class token first."""
        [tokens] = self.run_many([{"image": image, "backbone": backbone}])
        return tokens

    def run_many(self, many: Sequence[Slots]) -> list[Tokens]:
        """Run the network once over all images."""
        backbone: EncodesPatches = many[0]["backbone"]
        layers = (-1,) if isinstance(self.layers, str) else self.layers
        return backbone.hidden(
            [slots["image"] for slots in many], layer_numbers(self.address, layers, backbone)
        )

    def settle(self, following: Sequence[Stage]) -> Hidden:
        """Return this stage with `selected` replaced by the blocks that the stages after it name."""
        readers = [stage for stage in _all(following) if "hidden" in wiring(type(stage)).reads]
        picked = sorted({layer for stage in readers for layer in getattr(stage, "layers", ())})
        return (
            self.model_copy(update={"layers": tuple(picked)})
            if self.layers == "selected" and picked
            else self
        )


def _all(stages: Iterable[Stage]) -> Iterable[Stage]:
    for stage in stages:
        yield stage
        yield from _all(stage.inner) if isinstance(stage, Wrapper) else ()
