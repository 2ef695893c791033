"""Mix into how alike tokens are how alike their patches are by another account."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import PatchSimilarity, Similarity
from ovsskit.stages.attention._grids import refuse_other_grid


class MixSimilarity(Stage, writes="self_similarity"):
    """Mix the similarity of patches into every block, term and head; other tokens get 0 of it.

    Source: ResCLIP, which mixes in where patches were first found to show the same.

    Example:
        [[stage]]
        use = "mix_similarity"
        weight = 0.7
        scale = 2.2
    """

    weight: Annotated[float, Field(ge=0, le=1, description="share of what is mixed in")] = 0.5
    scale: Annotated[float, Field(gt=0, description="factor of the mixture")] = 1.0

    def run(self, self_similarity: Similarity, patch_similarity: PatchSimilarity) -> Similarity:
        """Return the mixture.

        Raises:
            BadValue: the patches are on another grid.
        """
        refuse_other_grid(self.address, self_similarity.grid, patch_similarity.grid)
        own, others = self_similarity.data, self_similarity.others
        mixed = torch.nn.functional.pad(patch_similarity.data, (others, 0, others, 0))
        data = self.scale * ((1 - self.weight) * own + (self.weight * mixed).to(own))
        return replace(self_similarity, data=data)
