"""Let an image encoder put patches into groups."""

from __future__ import annotations

from ovsskit.engine.model import GroupsPatches
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Groups, Image


class GroupPatches(Stage, writes="groups"):
    """Return the groups of an image's patches, and a vector among the texts for each.

    Source: Xu et al. 2022, GroupViT.

    Example:
        [[stage]]
        use = "group_patches"
    """

    def run_batch(self, image: Batch[Image], backbone: GroupsPatches) -> Batch[Groups]:
        """Return the groups of every image."""
        return backbone.group_patches(image)
