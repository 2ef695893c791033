"""What wrappers share that put the patches of windows together, to one grid over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ovsskit.engine.stage import Wraps
from ovsskit.engine.values import F, Image, Window
from ovsskit.errors import BadValue
from ovsskit.stages.wrap._windows import Windows


class SplicedWindows(Windows):
    """Average what the inner chain writes of the patches of overlapping windows."""

    def spliced(self, image: Image) -> Wraps[Any]:
        """Return the mean of what the windows' patches hold, on the grid of the image.

        Raises:
            BadValue: a window's edge lies inside a patch.
        """
        windows = self.windows(image)
        outs = yield windows
        return splice(self.address, windows, [out[self.writes] for out in outs])


def splice(address: str, windows: Sequence[Window], parts: Sequence[F]) -> F:
    """Return the mean of features of windows, on the grid of patches of the image.

    Raises:
        BadValue: a window's edge lies inside a patch.
    """
    features, size = parts[0], windows[0].size
    if windows[0].is_whole:
        return features
    patch = [shown / count for shown, count in zip(windows[0].shown, features.grid, strict=True)]
    grid = [round(side / one) for side, one in zip(size, patch, strict=True)]
    if any(side != one * count for side, one, count in zip(size, patch, grid, strict=True)):
        raise BadValue(
            f"{address} looks at an image of {size[1]} x {size[0]} pixels, which patches of "
            f"{patch[1]:.4g} x {patch[0]:.4g} do not fill.",
            fix="Bring its sides to multiples of the patch first, as stretch_image does.",
        )
    total = features.data.new_zeros(len(features.data), *grid)
    count = total.new_zeros(grid)
    for window, found in zip(windows, parts, strict=True):
        part = window.in_patches((grid[0], grid[1]))
        top, _, left, _ = part.margins
        height, width = part.inside
        count[part.row, part.column] += 1
        total[:, part.row, part.column] += found.data[:, top : top + height, left : left + width]
    return replace(features, data=total.div_(count))
