"""Compare what attention heads look at with texts."""

from __future__ import annotations

from typing import Annotated

from ovsskit._lazy import torch
from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Confidences, Hidden, PatchFeatures, TextFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.attention._grids import refuse_other_grid
from ovsskit.stages.attention._layers import Layer, layers_in


class HeadSimilarity(Stage, writes="scores"):
    """Score a text by where the class token looks through the heads that see what it names.

    The products of the class token's query with the patches' keys, before any softmax, are one map
    for each head. What a head sees is the mean of the patches' vectors with these weights, of unit
    length. A text's weights of the heads are the softmax of its products with what they see; the
    heads' maps are averaged by them, and a softmax over the patches follows. At last the maps of
    all texts are divided by their highest value, after the lowest was taken away: so they start at
    0, and end a little below 1, as released. They serve inside a `mix` that stretches them.
    Source: Barsellotti et al. 2025, Talk2DINO, background cleaning, and its released code.

    Example:
        [[stage]]
        use = "head_similarity"
    """

    layer: Layer = -1

    def run(
        self,
        hidden: Annotated[Hidden, TakesLayers("layer")],
        patch_features: PatchFeatures,
        text_features: TextFeatures,
        backbone: EncodesTokens,
    ) -> Confidences:
        """Return one map per text, over the patches.

        Raises:
            BadValue: the image encoder has no such block or no class token, its input was not
                kept, or the patches' vectors are on another grid.
        """
        [layer] = layers_in(self.address, (self.layer,), hidden, backbone)
        if not hidden.others:
            what = f"{self.address} asks where the class token looks, and this model has none."
            raise BadValue(what, fix="Take a model with a class token, such as DINOv2 or CLIP.")
        refuse_other_grid(self.address, patch_features.grid, hidden.grid)
        queries, keys, _ = backbone.project(hidden, layer)
        asked = queries[:, 0, :, None].float() * queries.shape[-1] ** -0.5
        heads = (keys[:, hidden.others :].float() @ asked)[..., 0]
        seen = torch.nn.functional.normalize(heads @ patch_features.vectors.float(), dim=1)
        shares = (text_features.data.float() @ seen.T).softmax(1)
        maps = (shares @ heads).softmax(1)
        scaled = (maps - maps.min()) / maps.max()
        return Confidences(scaled.unflatten(1, hidden.grid), text_features.labels)
