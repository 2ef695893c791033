"""Make one region of those that a guide takes for the same thing."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, Int, numpy, scipy, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import GuideFeatures, Regions, Uncovered


class MergeRegions(Stage, writes="regions"):
    """Merge regions whose guide features are alike, however far apart they lie.

    A region is the mean of its unit vectors, of unit length. Two belong together if their cosine is
    at most `within` below the highest there is (that of a region with itself), and so do all in a
    chain of such; places in no region stay as they are.
    Source: CorrCLIP, released code: DBSCAN with a distance of 0.2 and one member, which gives
    exactly these connected components. It leaves the lowest number out, whichever it is.

    Example:
        [[stage]]
        use = "merge_regions"
        within = 0.1
    """

    waits: ClassVar[str] = (
        "for the regions that there are, and for SciPy, which finds what hangs together"
    )

    within: Annotated[
        float, Field(ge=0, le=2, description="how far apart the cosines of like regions may be")
    ] = 0.2
    uncovered: Uncovered = "zero"

    def run(self, regions: Regions, guide_features: GuideFeatures) -> Regions:
        """Return the merged regions on the grid of the guide.

        The first cluster has the number after that of places in no region.
        """
        regions = regions.resized(guide_features.grid)
        numbers, members = regions.data.unique(return_inverse=True)
        kept = numbers == regions.uncovered(self.uncovered)
        if int((~kept).sum()) < 2:
            return regions
        means = region_means(guide_features, members, len(numbers))[~kept]
        first = regions.uncovered(self.uncovered) + 1
        merged = numbers.clone()
        merged[~kept] = first + clusters(means, self.within)
        return Regions(merged[members])


def region_means(
    features: GuideFeatures, members: Int[torch.Tensor, "rows cols"], count: int
) -> Float[torch.Tensor, "region width"]:
    """Return the mean of each region's unit vectors, of unit length."""
    unit = torch.nn.functional.normalize(features.vectors, dim=-1)
    sums = unit.new_zeros(count, unit.shape[1]).index_add_(0, members.flatten(), unit)
    sizes = torch.bincount(members.flatten(), minlength=count)
    return torch.nn.functional.normalize(sums / sizes[:, None], dim=-1)


def clusters(
    vectors: Float[torch.Tensor, "region width"], within: float
) -> Int[torch.Tensor, " region"]:
    """Return the cluster of each of several unit vectors, numbered from 0 as they come."""
    similarity = vectors @ vectors.T
    near = similarity.max() - similarity <= within
    _, found = scipy.sparse.csgraph.connected_components(near.cpu().numpy(), directed=False)
    return torch.from_numpy(found.astype(numpy.int64)).to(vectors.device)
