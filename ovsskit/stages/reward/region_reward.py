"""Take labels for good that end where regions of even colour do."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, Int, skimage, torch
from ovsskit.engine.devices import in_float64
from ovsskit.engine.memo import remember
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Labels, Reward
from ovsskit.stages.reward._sizes import nearest, reduced


class RegionReward(Stage, writes="reward"):
    """Reward labels that regions of even colour foretell, from 0 to 1.

    It is the mutual information of a pixel's label and its region, over the entropy of the label:
    1 where no region holds two labels, and about 0 where labels do not heed regions. An image of a
    single label has 0. Many small regions foretell more than few large ones, whatever the labels:
    this compares results for the same images, not images. Alone it does not see what a label
    means, and is best multiplied with a reward that does.
    The regions follow from the image, and a study finds them once. No label file or mask is read.
    Source: Felzenszwalb & Huttenlocher 2004 for the regions; the parameters are ours.

    Example:
        [[stage]]
        use = "region_reward"
        scale = 100
    """

    waits: ClassVar[str] = (
        "the processor finds the regions, once for an image, and a reward is one number"
    )

    scale: Annotated[
        float, Field(gt=0, description="how readily regions merge; more gives larger regions")
    ] = 60.0
    sigma: Annotated[
        float,
        Field(
            ge=0,
            description="standard deviation of the blur before, in pixels of the reduced image",
        ),
    ] = 0.7
    minimum: Annotated[
        int, Field(ge=1, description="pixels of the smallest region, in the reduced image")
    ] = 60
    shrink: Annotated[
        float, Field(ge=1, description="what height and width of the image are divided by")
    ] = 2.0
    longest: Annotated[
        int, Field(ge=1, description="the reduced image's longer side has no more pixels than this")
    ] = 512

    def run(self, image: Image, labels: Labels) -> Reward:
        """Return the reward of one image."""
        how = self.scale, self.sigma, self.minimum, self.shrink, self.longest
        regions = remember(("regions", image.data, *how), partial(self._regions, image.data))
        share = foretold(nearest(labels.ids, regions.shape), regions)
        return Reward(image.data.new_full((), share))

    def _regions(self, data: Float[torch.Tensor, "3 h w"]) -> Int[torch.Tensor, "rows cols"]:
        """Return the number of every pixel's region, from 0; the processor finds them."""
        small = reduced(data.cpu(), self.shrink, self.longest)
        numbers = skimage.segmentation.felzenszwalb(
            small.movedim(0, -1).numpy(),
            scale=self.scale,
            sigma=self.sigma,
            min_size=self.minimum,
        )
        return torch.from_numpy(numbers).to(data.device)


def foretold(
    labels: Int[torch.Tensor, "rows cols"], regions: Int[torch.Tensor, "rows cols"]
) -> float:
    """Return the share of the labels' entropy that regions explain; 0 where there is no entropy."""
    kinds, own = labels.unique(return_inverse=True)
    if len(kinds) == 1:
        return 0.0
    pairs = regions.flatten() * len(kinds) + own.flatten()
    counts = torch.bincount(pairs, minlength=(int(regions.max()) + 1) * len(kinds))
    shares = in_float64(counts).view(-1, len(kinds)) / len(pairs)
    of_labels, of_regions, of_both = (
        torch.special.entr(one).sum() for one in (shares.sum(0), shares.sum(1), shares)
    )
    return float(((of_labels + of_regions - of_both) / of_labels).clamp(0, 1))
