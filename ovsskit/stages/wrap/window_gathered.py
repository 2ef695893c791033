"""Put what patches gathered in windows together, to one grid over the image."""

from __future__ import annotations

from ovsskit.engine.stage import Wraps
from ovsskit.engine.values import Gathered, Image
from ovsskit.stages.wrap._splice import SplicedWindows


class WindowGathered(SplicedWindows, writes="gathered"):
    """Run the inner chain on overlapping squares of the image, and average what patches gathered.

    Windows lie as those of `sliding_window`, on the borders of patches. What follows sees one grid
    of patches over the whole image, in the image encoder's own space: there patches can be compared
    and averaged across the borders of windows before `project_patches` brings them into the space
    of texts.
    Source: RADSeg (arXiv 2511.19704), released code.

    Example:
        [[stage]]
        use = "window_gathered"
        window = 336
        stride = 224
          [[stage.inner]]
          use = "encode_hidden"
    """

    def run(self, image: Image) -> Wraps[Gathered]:
        """Return the mean of what the windows' patches gathered, on the grid of the image.

        Raises:
            BadValue: a window's edge lies inside a patch.
        """
        found: Gathered = yield from self.spliced(image)
        return found
