"""Let the pixels of a region agree on one class."""

from __future__ import annotations

from typing import ClassVar

from ovsskit._lazy import Int, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Labels, Regions, Uncovered


class RegionVote(Stage, writes="labels"):
    """Give all pixels of a region the id that most of them have; of equals, the smallest.

    Pixels in no region keep theirs. It serves after any recipe whose classes end where regions do,
    and costs small things that lie inside a region of something else. Regions of another size than
    the labels are resized by nearest neighbour.
    Source: CorrCLIP, released code, which takes the region of the lowest number for pixels in none.

    Example:
        [[stage]]
        use = "region_vote"
        uncovered = "lowest"
    """

    waits: ClassVar[str] = "for the regions and ids that there are, which follow from their numbers"

    uncovered: Uncovered = "zero"

    def run(self, labels: Labels, regions: Regions) -> Labels:
        """Return the labels that the regions voted for."""
        regions = regions.resized(labels.ids.shape)
        numbers, members = regions.data.unique(return_inverse=True)
        kept = regions.data == regions.uncovered(self.uncovered)
        won = winners(labels.ids, members, len(numbers))[members]
        return Labels(torch.where(kept, labels.ids, won))


def winners(
    ids: Int[torch.Tensor, "h w"], members: Int[torch.Tensor, "h w"], count: int
) -> Int[torch.Tensor, " region"]:
    """Return the most frequent id of each of `count` regions; of equals, the smallest."""
    kinds, own = ids.unique(return_inverse=True)
    pairs = (members * len(kinds) + own).flatten()
    votes = torch.bincount(pairs, minlength=count * len(kinds)).view(count, len(kinds))
    winning: torch.Tensor = kinds[votes.argmax(1)]
    return winning
