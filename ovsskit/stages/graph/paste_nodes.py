"""Make maps over the image of nodes that lie in windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Logits, Nodes, Tile
from ovsskit.errors import BadValue


class PasteNodes(Stage, writes="scores"):
    """Enlarge the scores of every tile bilinearly, edges on edges, and average where tiles overlap.

    Source: LPOSS (CVPR 2025), released code, which presses the patches of a window that was padded
    into what the window shows (`margins = "squeezed"`), and leaves an image in one piece on the
    grid of its patches (`onto = "grid"`).

    Example:
        [[stage]]
        use = "paste_nodes"
        margins = "cut"
    """

    onto: Annotated[
        Literal["image", "grid"],
        Field(description="maps have the size of the image, or the grid of its single tile"),
    ] = "image"
    margins: Annotated[
        Literal["squeezed", "cut"],
        Field(description="patches of margins: pressed into the image with the others, or cut off"),
    ] = "squeezed"

    def run(self, nodes: Nodes) -> Logits:
        """Return one map for each row of scores.

        Raises:
            BadValue: nodes in several tiles have no grid in common.
        """
        if self.onto == "grid":
            if len(nodes.tiles) > 1:
                what = f"{self.address} is to keep the grid of patches, but they are in windows."
                fix = 'Set onto = "image", or process the image in one piece: window = 0.'
                raise BadValue(what, there=f"There are {len(nodes.tiles)} windows.", fix=fix)
            return Logits(nodes.data.float().unflatten(1, nodes.tiles[0].grid), nodes.labels)
        total = nodes.data.new_zeros(len(nodes.data), *nodes.size, dtype=torch.get_default_dtype())
        count = total.new_zeros(nodes.size)
        for tile, maps in self._enlarged(nodes):
            top, bottom, left, right = tile.inside
            total[:, top:bottom, left:right] += maps
            count[top:bottom, left:right] += 1
        return Logits(total.div_(count), nodes.labels)

    def _enlarged(
        self, nodes: Nodes
    ) -> Iterator[tuple[Tile, Float[torch.Tensor, "class rows cols"]]]:
        """Yield every tile with its maps of what of it is image."""
        parts = nodes.data.float().split([tile.count for tile in nodes.tiles], 1)
        for tile, part in zip(nodes.tiles, parts, strict=True):
            top, bottom, left, right = tile.inside
            box = tile.inside if self.margins == "squeezed" else tile.seen
            maps = torch.nn.functional.interpolate(
                part.unflatten(1, tile.grid)[None],
                (box[1] - box[0], box[3] - box[2]),
                mode="bilinear",
            )[0]
            rows, columns = (top - box[0], bottom - box[0]), (left - box[2], right - box[2])
            yield tile, maps[:, slice(*rows), slice(*columns)]
