"""Look at an image through a window that moves over it."""

from __future__ import annotations

from typing import ClassVar

from ovsskit._lazy import torch
from ovsskit.engine.stage import S, Wraps
from ovsskit.engine.values import Image
from ovsskit.stages.wrap._windows import Windows


class SlidingWindow(Windows, writes="scores"):
    """Run the inner chain on overlapping squares of the image, enlarge their maps, and average.

    Windows start at multiples of the stride; the last of each row and column is moved back inside.
    Where a side of the image is shorter than the window, so are the windows. Of everything that
    lies over the image, such as regions, the inner chain sees what the window shows. Maps are
    enlarged edges on edges, one window at a time, also those of an image in one piece. Patches of
    the image that are hidden are hidden in a window only if it shows all of it.
    `window_features` and `window_nodes` do the same for features of patches, and for graphs.
    Source: ITACLIP, released code, whose grid is that of MMSegmentation; padding: ClearCLIP,
    released code; in one piece: NACLIP, released code.

    Example:
        [[stage]]
        use = "sliding_window"
        window = 224
        stride = 112
          [[stage.inner]]
          use = "encode_hidden"
    """

    version: ClassVar[int] = 2

    def run(self, image: Image) -> Wraps[S]:
        """Return the mean of the windows' maps, at the size of the image."""
        windows = self.windows(image)
        outs = yield windows
        scores: S = outs[0]["scores"]
        total = scores.data.new_zeros(len(scores.data), *image.size)
        count = total.new_zeros(image.size)
        for window, out in zip(windows, outs, strict=True):
            (height, width), (top, _, left, _) = window.inside, window.margins
            count[window.row, window.column] += 1
            maps = torch.nn.functional.interpolate(
                out["scores"].data[None], window.shown, mode="bilinear"
            )[0]
            total[:, window.row, window.column] += maps[:, top : top + height, left : left + width]
        return scores.with_data(total.div_(count))
