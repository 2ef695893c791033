"""Tell things from what is around them by an image encoder that was not trained for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import ForegroundMap, Hidden
from ovsskit.stages.attention._layers import Layers, layers_in

PARTS = ("query", "key", "value")


class ForegroundByKeys(Stage, writes="foreground"):
    """Take for things what few patches are like: what surrounds them covers most of an image.

    Every patch has the mean cosine of its key with those of all patches; the least alike gets 1,
    the most alike 0, in every image. So something is foreground in each, and a thing that fills an
    image is taken for what surrounds it. Several blocks are averaged.
    Source: Simeoni et al. 2021, LOST, which starts from the patch that is like the fewest others
    (by the sign of the product of keys); the map of cosines is ours.

    Example:
        [[stage]]
        use = "foreground_by_keys"
        layers = [-2]
    """

    layers: Layers = (-1,)
    part: Annotated[
        Literal["query", "key", "value"], Field(description="what of the patches is compared")
    ] = "key"

    def run(
        self, hidden: Annotated[Hidden, TakesLayers("layers")], backbone: EncodesTokens
    ) -> ForegroundMap:
        """Return a map over the patches.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        layers = layers_in(self.address, self.layers, hidden, backbone)
        alike = torch.stack([self._compare(hidden, layer, backbone) for layer in layers]).mean(0)
        low, high = alike.aminmax()
        rare = torch.where(high > low, (high - alike) / (high - low), 0)
        return ForegroundMap(rare.unflatten(0, hidden.grid))

    def _compare(self, hidden: Hidden, layer: int, backbone: EncodesTokens) -> torch.Tensor:
        """Return the mean cosine of every patch with all patches."""
        part = backbone.project(hidden, layer)[PARTS.index(self.part)]
        vectors = part[:, hidden.others :].transpose(0, 1).flatten(1).float()
        unit = torch.nn.functional.normalize(vectors, dim=-1)
        return unit @ unit.mean(0)
