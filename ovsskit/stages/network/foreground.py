"""Tell things from what is around them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import FindsForeground
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import ForegroundMap, Image


class Foreground(Stage, writes="foreground"):
    """Ask a model for every pixel how surely it belongs to a thing, whichever it is.

    `gate_background` makes a background of it, for the maps of any recipe.
    Source: Simeoni et al. 2023, FOUND; CLIP-DIY, released code, keeps what FOUND is sure of.

    Example:
        [[stage]]
        use = "foreground"
        reads = { backbone = "saliency" }
    """

    binary: Annotated[
        bool, Field(description="1 where it is more likely than not, else 0, as FOUND evaluates")
    ] = False

    def run_batch(self, image: Batch[Image], backbone: FindsForeground) -> Batch[ForegroundMap]:
        """Return one map per image, at its size."""
        found = backbone.find_foreground(image)
        return [ForegroundMap((one.data > 0.5).float()) if self.binary else one for one in found]
