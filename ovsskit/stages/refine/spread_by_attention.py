"""Let patches that attend to each other share what was found in one of them."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import PatchAttention, Saliency
from ovsskit.ops.boxes import inside_boxes, scale
from ovsskit.stages.attention._layers import Layers, layer_numbers, refuse_missing


class SpreadByAttention(Stage, writes="scores"):
    """Replace every map by what patches take in of it, with weights made of their attention.

    The attention is averaged over blocks, and its columns and rows are divided by their sums in
    turn (Sinkhorn), so that patches which all others look at do not have more to say. It is made
    symmetric, and multiplied by itself, so that neighbours of neighbours count. A patch takes in
    only what lies in the boxes around the hot parts of a map.
    It serves after any stage that says coarsely where a class is. Maps of another grid than the
    attention's are resized to it first, and what comes out has no scale: let `min_max` follow.
    Source: Lin et al. 2023, CLIP-ES, released code (box at 0.4, or 0.7 for COCO; blocks 5 to 12).

    Example:
        [[stage]]
        use = "spread_by_attention"
        layers = [5, 6, 7, 8, 9, 10, 11, 12]
        box_at = 0.4
    """

    waits: ClassVar[str] = "the processor finds the boxes around what is hot"

    layers: Layers = (-1,)
    divisions: Annotated[
        int, Field(ge=0, description="how often columns, then rows are divided by their sums")
    ] = 3
    box_at: Annotated[
        float,
        Field(ge=0, lt=1, description="share of a map's highest value above which a place is hot"),
    ] = 0.4
    epsilon: Annotated[
        float, Field(ge=0, description="added to a map's range when it is scaled for its boxes")
    ] = 1e-7

    def run(self, scores: Saliency, patch_attention: PatchAttention) -> Saliency:
        """Return the maps, spread, on the grid of the attention.

        Raises:
            BadValue: the attention does not hold such a block.
        """
        layers = layer_numbers(self.address, self.layers, patch_attention)
        refuse_missing(self.address, layers, patch_attention)
        maps = patch_attention.on_grid(scores.data)
        seen = maps * inside_boxes(scale(maps, self.epsilon), [self.box_at] * len(maps))
        weights = affinity(patch_attention.of(layers).mean(0), self.divisions)
        spread = seen.flatten(1) @ weights.T
        return scores.with_data(spread.unflatten(1, patch_attention.grid))


def affinity(
    attention: Float[torch.Tensor, "patch patch"], divisions: int
) -> Float[torch.Tensor, "patch patch"]:
    """Return how much patches belong together: attention balanced, symmetric, and squared."""
    for _ in range(divisions):
        attention = attention / attention.sum(0, keepdim=True)
        attention = attention / attention.sum(1, keepdim=True)
    both = (attention + attention.T) / 2
    return both @ both
