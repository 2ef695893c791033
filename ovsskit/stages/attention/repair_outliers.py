"""Replace patches that are like no others by the mean of those around them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Hidden
from ovsskit.stages.attention._layers import Layer, Layers, layer_numbers, layers_in

EPSILON = 1e-12
"""The least squared distance: equal patches are no outliers."""


class RepairOutliers(Stage, writes="hidden"):
    """Find the patches that are outliers before a block, and repair them there and in others.

    A patch's density is one over its squared distance to the farthest of its nearest
    `neighbours`; its score is the mean density of these, over its own. Outliers are the `share` of
    patches with the highest scores. Each becomes the mean of those around it that are none, and
    stays as it is if there is none.
    Source: SC-CLIP, released code, whose local outlier factor takes a patch's own distance where
    Breunig et al. 2000 take the neighbour's; it also needs square grids.

    Example:
        [[stage]]
        use = "repair_outliers"
        layers = [-3, -1]
        found_in = -1
    """

    layers: Layers = (-1,)
    found_in: Layer = -1
    neighbours: Annotated[
        int, Field(ge=1, description="how many of the nearest patches; all if there are fewer")
    ] = 30
    share: Annotated[float, Field(gt=0, lt=1, description="how many patches are outliers")] = 0.05

    def run(
        self,
        hidden: Annotated[Hidden, TakesLayers("layers"), TakesLayers("found_in")],
        backbone: EncodesTokens,
    ) -> Hidden:
        """Return the tokens with the outliers of some blocks repaired.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        [source] = layers_in(self.address, (self.found_in,), hidden, backbone)
        patches = hidden.entering(source)[hidden.others :].float()
        outliers = find_outliers(patches, self.neighbours, self.share).unflatten(0, hidden.grid)
        data = hidden.data.clone()
        for layer in layer_numbers(self.address, self.layers, backbone):
            row = hidden.layers.index(layer)
            maps = hidden.data[row, hidden.others :].T.unflatten(1, hidden.grid)
            data[row, hidden.others :] = repair(maps, outliers).flatten(1).T
        return replace(hidden, data=data)


def find_outliers(
    vectors: Float[torch.Tensor, "patch width"], neighbours: int, share: float
) -> Bool[torch.Tensor, " patch"]:
    """Tell which vectors lie where others are sparse, compared with their neighbours."""
    threshold, scores = 1 - share, outlier_scores(vectors, neighbours)
    return scores > torch.quantile(scores, threshold)


def outlier_scores(
    vectors: Float[torch.Tensor, "patch width"], neighbours: int
) -> Float[torch.Tensor, " patch"]:
    """Return the mean density around a vector's neighbours, over that around itself."""
    exact = "donot_use_mm_for_euclid_dist"
    distances = torch.cdist(vectors, vectors, compute_mode=exact).square()
    nearest, places = distances.topk(min(neighbours + 1, len(vectors)), largest=False)
    densities = 1 / nearest[:, -1].clamp(min=EPSILON)
    scores: torch.Tensor = (densities[places[:, 1:]] / densities[:, None]).mean(1)
    return scores


def repair(
    maps: Float[torch.Tensor, "width rows cols"], outliers: Bool[torch.Tensor, "rows cols"]
) -> Float[torch.Tensor, "width rows cols"]:
    """Replace outliers by the mean of those of their eight neighbours that are none."""
    kept = (~outliers).to(maps.dtype)
    pool = torch.nn.functional.avg_pool2d
    total, count = (
        pool(one[None], 3, stride=1, padding=1, divisor_override=1)[0]
        for one in (maps * kept, kept[None])
    )
    return torch.where(outliers & (count > 0), total / count.clamp(min=1), maps)
