"""Let patches that look alike agree on their classes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import PatchFeatures, Probabilities


class KnnSmoothing(Stage, writes="scores"):
    """Replace every patch's probabilities by the mean over its nearest patches, repeatedly.

    The nearest patches are those that look most like it, itself included.
    Likeness is the cosine of features, and the neighbours stay the same in all rounds; a neighbour
    may be anywhere in the image. It helps noisy maps, and costs small objects where the maps are
    good. Maps of another grid than the features' are resized to it first. Source: IFSeg, released
    code (3 neighbours, 25 rounds; its notebook has 5 neighbours).

    Example:
        [[stage]]
        use = "knn_smoothing"
        neighbours = 5
        rounds = 10
    """

    neighbours: Annotated[
        int, Field(ge=1, description="patches that are averaged, the patch itself among them")
    ] = 3
    rounds: Annotated[int, Field(ge=0, description="how often")] = 25

    def run(self, scores: Probabilities, features: PatchFeatures) -> Probabilities:
        """Return the averaged probabilities, at one value per patch."""
        grid = (features.data.shape[1], features.data.shape[2])
        maps = scores.data
        if tuple(maps.shape[1:]) != grid:
            maps = torch.nn.functional.interpolate(maps[None], grid, mode="bilinear")[0]
        alike = nearest(features.data, self.neighbours)
        flat = maps.flatten(1)
        for _ in range(self.rounds):
            flat = flat[:, alike].mean(2)
        return scores.with_data(flat.unflatten(1, grid))


def nearest(
    features: Float[torch.Tensor, "width rows cols"], count: int
) -> Int[torch.Tensor, "patch count"]:
    """Return for every patch those with the most similar features, at most all."""
    unit = torch.nn.functional.normalize(features.flatten(1), dim=0)
    return (unit.T @ unit).topk(min(count, unit.shape[1])).indices
