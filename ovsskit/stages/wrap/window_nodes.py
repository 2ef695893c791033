"""Put the patches of all windows into one graph."""

from __future__ import annotations

from dataclasses import replace

from ovsskit._lazy import torch
from ovsskit.engine.stage import Wraps
from ovsskit.engine.values import Image, Nodes
from ovsskit.stages.wrap._windows import Windows


class WindowNodes(Windows, writes="nodes"):
    """Run the inner chain on overlapping squares of the image, and keep the patches of all of them.

    Windows lie as those of `sliding_window`. Patches of windows that overlap stay apart, window by
    window, and know where in the image they lie.
    Source: LPOSS (CVPR 2025), released code; its margins are black, at the bottom and right.

    Example:
        [[stage]]
        use = "window_nodes"
        window = 224
        stride = 112
          [[stage.inner]]
          use = "patch_nodes"
    """

    def run(self, image: Image) -> Wraps[Nodes]:
        """Return the nodes of all windows."""
        windows = self.windows(image)
        outs = yield windows
        found: list[Nodes] = [out["nodes"] for out in outs]
        tiles = (
            tile.within(window)
            for window, one in zip(windows, found, strict=True)
            for tile in one.tiles
        )
        return replace(
            found[0],
            data=torch.cat([one.data for one in found], 1),
            vectors=torch.cat([one.vectors for one in found]),
            tiles=tuple(tiles),
            size=image.size,
        )
