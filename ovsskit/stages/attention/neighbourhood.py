"""Let patches look at what is near."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import send
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Similarity


class Neighbourhood(Stage, writes="self_similarity"):
    """Add to how alike two patches are a Gaussian of their distance, in every block, term and head.

    It is 1 for a patch and itself, and falls to 0 far away; other tokens get none. Source:
    NACLIP, released code.

    Example:
        [[stage]]
        use = "neighbourhood"
        sigma = 5.0
    """

    sigma: Annotated[
        float, Field(gt=0, description="standard deviation of the Gaussian, in patches")
    ] = 5.0

    def run(self, self_similarity: Similarity) -> Similarity:
        """Return the similarity with the Gaussian added."""
        data = self_similarity.data
        patches = send(distance_gaussian(self_similarity.grid, self.sigma), data.device).to(data)
        others = self_similarity.others
        gaussian = torch.nn.functional.pad(patches, (others, 0, others, 0))
        return Similarity(data + gaussian, self_similarity.layers, self_similarity.grid)


@lru_cache(maxsize=8)
def distance_gaussian(grid: tuple[int, int], sigma: float) -> Float[torch.Tensor, "patch patch"]:
    """Return exp(-distance^2 / (2 sigma^2)) for every two patches of a grid."""
    rows, columns = (
        torch.exp(-((torch.arange(side)[:, None] - torch.arange(side)) ** 2) / (2 * sigma**2))
        for side in grid
    )
    return torch.kron(rows, columns)
