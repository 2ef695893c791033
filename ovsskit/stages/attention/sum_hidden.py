"""Sum what enters several blocks."""

from __future__ import annotations

from typing import Annotated

from ovsskit._lazy import torch
from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Hidden
from ovsskit.stages.attention._layers import Layer, Layers, layer_numbers, layers_in


class SumHidden(Stage, writes="hidden"):
    """Sum the tokens that enter several blocks, and take the sum as what enters another.

    Source: SC-CLIP, which lets the sum of middle layers go through the last block.

    Example:
        [[stage]]
        use = "sum_hidden"
        layers = [5, 6, 7, 8, 9, 10, 11]
        into = -1
        writes = "summed_hidden"
    """

    layers: Layers = (-2, -1)
    into: Layer = -1

    def run(
        self, hidden: Annotated[Hidden, TakesLayers("layers")], backbone: EncodesTokens
    ) -> Hidden:
        """Return the tokens of one block, class token first.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        layers = layers_in(self.address, self.layers, hidden, backbone)
        total = torch.stack([hidden.entering(layer) for layer in layers]).sum(0)
        return Hidden(total[None], layer_numbers(self.address, (self.into,), backbone), hidden.grid)
