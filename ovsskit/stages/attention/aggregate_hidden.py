"""Replace the patches that enter a block by weighted means."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Hidden, PatchWeights
from ovsskit.stages.attention._grids import refuse_other_grid
from ovsskit.stages.attention._layers import Layers, layers_in


class AggregateHidden(Stage, writes="hidden"):
    """Replace the patches that enter blocks by the means of those that they take in.

    Other tokens stay, and so do the other blocks. Source: SC-CLIP, before the last block.

    Example:
        [[stage]]
        use = "aggregate_hidden"
        layers = [-1]
    """

    layers: Layers = (-1,)

    def run(
        self,
        hidden: Annotated[Hidden, TakesLayers("layers")],
        patch_weights: PatchWeights,
        backbone: EncodesTokens,
    ) -> Hidden:
        """Return the tokens with those of some blocks changed.

        Raises:
            BadValue: the weights are on another grid, or a block's tokens were not kept.
        """
        refuse_other_grid(self.address, hidden.grid, patch_weights.grid)
        others = hidden.others
        data, weights = hidden.data.clone(), patch_weights.data.to(hidden.data.dtype)
        for layer in layers_in(self.address, self.layers, hidden, backbone):
            data[hidden.layers.index(layer), others:] = weights @ hidden.entering(layer)[others:]
        return replace(hidden, data=data)
