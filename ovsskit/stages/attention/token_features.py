"""Take what tokens are inside an image encoder as features of the patches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import EncodesTokens, Facet
from ovsskit.engine.model.guides_patches import facet_of
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import GuideFeatures, Hidden
from ovsskit.engine.values.features import on_grid
from ovsskit.stages.attention._layers import Layer, layers_in


class TokenFeatures(Stage, writes="guide_features"):
    """Return the patches that enter a block, or their queries, keys or values there.

    So a model's own middle layers can say which of its patches belong together, without a second
    run of a network. Source: SC-CLIP, whose guides are CLIP's own layers.

    Example:
        [[stage]]
        use = "token_features"
        layer = -3
        facet = "token"
    """

    layer: Layer = -1
    facet: Annotated[
        Facet,
        Field(
            description="the tokens themselves, or what the block makes of them, heads side by side"
        ),
    ] = "token"

    def run(
        self, hidden: Annotated[Hidden, TakesLayers("layer")], backbone: EncodesTokens
    ) -> GuideFeatures:
        """Return one vector per patch.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        [layer] = layers_in(self.address, (self.layer,), hidden, backbone)
        if self.facet == "token":
            vectors = hidden.entering(layer)
        else:
            vectors = facet_of(backbone.project(hidden, layer), self.facet)
        return GuideFeatures(on_grid(vectors[hidden.others :].float(), hidden.grid))
