"""Replace the vectors of patches by weighted means."""

from __future__ import annotations

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import F, PatchWeights
from ovsskit.stages.attention._grids import refuse_other_grid


class Aggregate(Stage, writes="features"):
    """Replace the vector of every patch by the mean of those that it takes in, by their weights.

    It acts on any features, by `reads` and `writes`: on what patches gathered in a block, on those
    of a guide, or on those that are compared with texts. Source: SC-CLIP.

    Example:
        [[stage]]
        use = "aggregate"
        reads = { features = "gathered" }
        writes = "gathered"
    """

    def run(self, features: F, patch_weights: PatchWeights) -> F:
        """Return features of the same kind.

        Raises:
            BadValue: the weights are on another grid.
        """
        refuse_other_grid(self.address, features.grid, patch_weights.grid)
        vectors = features.vectors
        return features.with_vectors(patch_weights.data.to(vectors.dtype) @ vectors)
