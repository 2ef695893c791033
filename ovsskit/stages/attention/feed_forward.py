"""Let a block's second half follow what patches gathered."""

from __future__ import annotations

from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Gathered


class FeedForward(Stage, writes="gathered"):
    """Add a block's feed-forward part to what patches gathered there: they have left the block.

    `project_patches` can do so itself; apart, other stages can stand between the two, such as means
    over the whole image. Source: RADSeg (arXiv 2511.19704), released code.

    Example:
        [[stage]]
        use = "feed_forward"
    """

    def run(self, gathered: Gathered, backbone: EncodesPatches) -> Gathered:
        """Return one vector per patch, as it leaves the block."""
        tokens = backbone.feed_forward(gathered.layer, gathered.vectors)
        return gathered.with_vectors(tokens.float())
