"""Put the features that windows give their patches together, to one grid over the image."""

from __future__ import annotations

from dataclasses import replace

from ovsskit.engine.stage import Wraps
from ovsskit.engine.values import Image, PatchFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.wrap._windows import Windows


class WindowFeatures(Windows, writes="patch_features"):
    """Run the inner chain on overlapping squares of the image, and average the features of patches.

    Windows lie as those of `sliding_window`. What follows sees one grid of patches over the whole
    image, so that patches can look at each other across the borders of windows. Windows must lie on
    the borders of patches: their stride, and the sides of the image, are multiples of the patch.
    Source: Trident (ICCV 2025) and RADSeg (2025), released codes.

    Example:
        [[stage]]
        use = "window_features"
        window = 336
        stride = 224
          [[stage.inner]]
          use = "encode_hidden"
    """

    def run(self, image: Image) -> Wraps[PatchFeatures]:
        """Return the mean of the windows' features, on the grid of patches of the image.

        Raises:
            BadValue: a window's edge lies inside a patch.
        """
        windows = self.windows(image)
        outs = yield windows
        features: PatchFeatures = outs[0]["patch_features"]
        if windows[0].is_whole:
            return features
        rows, columns = features.data.shape[1:]
        patch = [
            shown / count for shown, count in zip(windows[0].shown, (rows, columns), strict=True)
        ]
        grid = [round(side / one) for side, one in zip(image.size, patch, strict=True)]
        if any(
            side != one * count for side, one, count in zip(image.size, patch, grid, strict=True)
        ):
            raise BadValue(
                f"{self.address} looks at an image of {image.size[1]} x {image.size[0]} pixels, "
                f"which patches of {patch[1]:.4g} x {patch[0]:.4g} do not fill.",
                fix="Bring its sides to multiples of the patch first, as stretch_image does.",
            )
        total = features.data.new_zeros(len(features.data), *grid)
        count = total.new_zeros(grid)
        for window, out in zip(windows, outs, strict=True):
            part = window.in_patches((grid[0], grid[1]))
            top, _, left, _ = part.margins
            (height, width), found = part.inside, out["patch_features"].data
            count[part.row, part.column] += 1
            total[:, part.row, part.column] += found[:, top : top + height, left : left + width]
        return replace(features, data=total.div_(count))
