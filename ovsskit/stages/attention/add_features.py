"""Add one kind of features of patches to another."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import PatchFeatures
from ovsskit.errors import BadValue


class AddFeatures(Stage, writes="patch_features"):
    """Add the vectors of patches from another branch, times a weight.

    Both are on one grid, and as the model projected them: each was normalised by itself, as the
    model does after its last block, and the projection is linear.
    Source: Zhang et al. 2025, CorrCLIP, released code (1 for its spatial branch, 0.5 for regions).

    Example:
        [[stage]]
        use = "add_features"
        reads = { branch = "region_features" }
        weight = 0.5
    """

    weight: Annotated[float, Field(ge=0, description="what the other branch counts for")] = 1.0

    def run(self, patch_features: PatchFeatures, branch: PatchFeatures) -> PatchFeatures:
        """Return the sum.

        Raises:
            BadValue: the features are on other grids.
        """
        if branch.grid != patch_features.grid:
            grids = [" x ".join(map(str, one.grid)) for one in (patch_features, branch)]
            what = f"{self.address} adds features on a grid of {grids[1]} to some on {grids[0]}."
            raise BadValue(what, fix="Let both come from the same attention, or its regions.")
        return PatchFeatures(patch_features.data + self.weight * branch.data)
