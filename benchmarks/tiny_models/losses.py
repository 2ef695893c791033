"""Losses that know only which words are true of which image."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def contrast(
    similarity: Float[Tensor, "rows columns"],
    partner: Int[Tensor, " rows"],
    also_true: Bool[Tensor, "rows columns"],
) -> Float[Tensor, ""]:
    """Tell each row's partner from the columns that are not true of the row."""
    own = torch.zeros_like(also_true)
    own[torch.arange(len(partner)), partner] = True
    similarity = similarity.masked_fill(also_true & ~own, -torch.inf)
    return torch.nn.functional.cross_entropy(similarity, partner)


def word_contrast(
    scores: Float[Tensor, "images words"], true: Bool[Tensor, "images words"]
) -> Float[Tensor, ""]:
    """Tell each true word from the false words of its image, and from other images."""
    false_sums = [
        scores.masked_fill(true, -torch.inf).logsumexp(axis, keepdim=True) for axis in (0, 1)
    ]
    losses = [torch.nn.functional.softplus(false - scores)[true].mean() for false in false_sums]
    return (losses[0] + losses[1]) / 2


def pool_patches(
    similarity: Float[Tensor, "images patches words"],
) -> Float[Tensor, "images words"]:
    """Pool the patches softly towards the best one."""
    return similarity.logsumexp(1) - torch.log(torch.tensor(float(similarity.shape[1])))


def keep_patches(
    rng: np.random.Generator, images: int, patches: int, dropped: float
) -> Int[Tensor, "images kept"]:
    """Choose the patches that each image keeps."""
    kept = round(patches * (1 - dropped))
    return torch.from_numpy(rng.random((images, patches)).argsort(1)[:, :kept])
