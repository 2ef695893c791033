"""Let the image's own token look at one region after the other."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Gathered, Hidden, Regions
from ovsskit.engine.values.features import on_grid
from ovsskit.errors import BadValue
from ovsskit.stages.attention._layers import Layers, layers_in


class RegionTokens(Stage, writes="gathered"):
    """Give patches what a copy of the class token makes of their region, through many blocks.

    Every region has a copy. It takes in the class token and the patches of its region, not itself
    and not other copies, and nothing else takes it in: so the copies need but the tokens that enter
    the blocks, which the network has given already, and cost hardly more than one token each.
    Regions are taken from the grid of the tokens, where small ones may vanish; the result is on the
    regions' own grid, by nearest neighbour.
    Source: Zhang et al. 2025, CorrCLIP, released code (all blocks).

    Example:
        [[stage]]
        use = "region_tokens"
        layers = [10, 11, 12]
    """

    waits: ClassVar[str] = "for the regions that there are on the grid of tokens"

    layers: Annotated[
        Layers,
        Field(description="blocks that the copies run through, up to the last; from 1, or -1"),
    ] = (-1,)

    def run(
        self,
        hidden: Annotated[Hidden, TakesLayers("layers")],
        regions: Regions,
        backbone: EncodesPatches,
    ) -> Gathered:
        """Return for every patch what leaves the last block for its region.

        Raises:
            BadValue: the image encoder has no such block, one is left out, or its input was not
                kept.
        """
        layers = layers_in(self.address, self.layers, hidden, backbone)
        if layers != tuple(range(layers[0], backbone.block_count + 1)):
            named = ", ".join(map(str, layers))
            what = f"{self.address}.layers is {named}; the copies run through all that follow, too."
            raise BadValue(what, fix=f"Name all from {layers[0]} to {backbone.block_count}.")
        small = regions.resized(hidden.grid).data
        numbers, members = small.unique(return_inverse=True)
        inside = members.flatten() == torch.arange(len(numbers), device=members.device)[:, None]
        tokens = run_copies(hidden, layers, inside, backbone).float()
        grid = (regions.data.shape[0], regions.data.shape[1])
        of_patch = Regions(members).resized(grid).data.flatten()
        return Gathered(on_grid(tokens[of_patch], grid), layers[-1])


def run_copies(
    hidden: Hidden,
    layers: tuple[int, ...],
    inside: Bool[torch.Tensor, "region patch"],
    backbone: EncodesPatches,
) -> Float[torch.Tensor, "region width"]:
    """Return what copies of the class token are after the last of these blocks, one per region."""
    seen = torch.nn.functional.pad(inside, (1, 0), value=True)  # the class token, too
    copies = hidden.entering(layers[0])[:1].expand(len(inside), -1)
    for layer in layers:
        own = Hidden(copies[None], (layer,), (len(copies) - 1, 1))
        queries, _, _ = backbone.project(own, layer)
        _, keys, values = backbone.project(hidden, layer)
        mixed = torch.nn.functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=seen
        )
        copies = backbone.feed_forward(layer, copies + backbone.join_heads(layer, mixed))
    return copies
