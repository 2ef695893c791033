"""Find what several images of one class have in common, and make one vector of it.

Source: Shin et al. 2022, ReCo, section 3.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from ovsskit._lazy import Float, Int, torch

Columns = Literal["own", "released"]


class Common(NamedTuple):
    """Hold how well each patch finds its like in all images, each image's best, and the vector."""

    support: Float[torch.Tensor, "image patch"]
    seeds: Int[torch.Tensor, " image"]
    prototype: Float[torch.Tensor, " width"]


def without_context(
    weights: Float[torch.Tensor, "image patch"],
    features: Float[torch.Tensor, "image patch width"],
    context: Float[torch.Tensor, "context width"],
) -> Float[torch.Tensor, "image patch"]:
    """Return the weights of patches, less where they are like what usually stands around."""
    unit = torch.nn.functional.normalize
    for vector in context:
        weights = weights * (1 - (unit(features, dim=-1) @ unit(vector, dim=0)).sigmoid())
    return weights


def common_prototype(
    features: Float[torch.Tensor, "image patch width"],
    weights: Float[torch.Tensor, "image patch"],
    columns: Columns = "own",
) -> Common:
    """Return the prototype of what images have in common: the unit mean of their best patches.

    A patch has its like in an image where the cosine with one of its patches, times that one's
    weight, is highest; the mean of that over all images is its support. With `released` columns,
    as the released code slices them, an image's own are followed by more and more of those of the
    images after it. One image's patches are compared with all at a time, so that memory grows with
    the number of images, not with its square.
    """
    images, patches, _ = features.shape
    unit = torch.nn.functional.normalize(features, dim=-1).flatten(0, 1)
    weighted = unit * weights.flatten()[:, None]
    support = torch.empty_like(weights)
    for row, own in zip(support, unit.split(patches), strict=True):
        alike = own @ weighted.T
        starts = [index * patches for index in range(images)]
        ends = [
            start + patches * (1 + index * (columns == "released"))
            for index, start in enumerate(starts)
        ]
        best = [alike[:, start:end].amax(1) for start, end in zip(starts, ends, strict=True)]
        row.copy_(torch.stack(best).mean(0))
    seeds = support.argmax(1)
    mean = features[torch.arange(images, device=seeds.device), seeds].mean(0)
    return Common(support, seeds, torch.nn.functional.normalize(mean, dim=0))


def nearest(
    vectors: Float[torch.Tensor, "image width"], query: Float[torch.Tensor, " width"], count: int
) -> list[int]:
    """Return the images whose vectors have the highest products with a query, best first."""
    return [int(index) for index in (vectors @ query).topk(min(count, len(vectors))).indices]
