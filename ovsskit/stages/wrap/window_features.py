"""Put the features that windows give their patches together, to one grid over the image."""

from __future__ import annotations

from ovsskit.engine.stage import Wraps
from ovsskit.engine.values import Image, PatchFeatures
from ovsskit.stages.wrap._splice import SplicedWindows


class WindowFeatures(SplicedWindows, writes="patch_features"):
    """Run the inner chain on overlapping squares of the image, and average the features of patches.

    Windows lie as those of `sliding_window`. What follows sees one grid of patches over the whole
    image, so that patches can look at each other across the borders of windows. Windows must lie on
    the borders of patches: their stride, and the sides of the image, are multiples of the patch.
    `window_gathered` does the same before features are brought into the space of texts.
    Source: Trident (ICCV 2025), released code.

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
        found: PatchFeatures = yield from self.spliced(image)
        return found
