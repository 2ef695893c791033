"""Say how sure an IoU is: percentile intervals from groups of pixels that are drawn again.

Groups are what varies from one sample of the world to another: images, or scenes of several images.
Two results on the same groups are compared on the same draws (a paired bootstrap): most of what
varies is how hard the images are, which both share.

Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ovsskit._lazy import Float, Int, numpy, torch
from ovsskit.ops.metrics import Mean, iou_of_counts, mean_iou_of_counts

MOST_RESAMPLES, MOST_DRAWN = 500, 2**22
"""Resamples and groups that are drawn at a time, so that memory does not grow with their number."""


def draw_groups(
    groups: int, resamples: int, seed: int
) -> Iterator[Int[numpy.ndarray, "some groups"]]:
    """Yield, some resamples at a time, as many groups as there are, drawn with replacement.

    The same seed draws the same groups.
    """
    generator = numpy.random.default_rng(seed)
    most = max(1, min(MOST_RESAMPLES, MOST_DRAWN // groups))
    for first in range(0, resamples, most):
        yield generator.integers(groups, size=(min(most, resamples - first), groups))


def resample_weights(
    groups: int, resamples: int, seed: int
) -> Iterator[Int[torch.Tensor, "some groups"]]:
    """Yield, some resamples at a time, how often each group was drawn."""
    for drawn in draw_groups(groups, resamples, seed):
        rows = numpy.arange(len(drawn))[:, None] * groups
        counts = numpy.bincount((drawn + rows).ravel(), minlength=drawn.size)
        yield torch.from_numpy(counts.reshape(drawn.shape))


def resampled(
    counts: Int[torch.Tensor, "groups results 3 classes"], resamples: int, seed: int
) -> Iterator[Int[torch.Tensor, "some results 3 classes"]]:
    """Yield, some resamples at a time, the sum of the counts of all groups that were drawn."""
    flat = counts.cpu().double().flatten(1)  # in float64 sums are exact up to 2 ** 53
    for weights in resample_weights(len(counts), resamples, seed):
        yield (weights.double() @ flat).long().unflatten(1, counts.shape[1:])


def interval(
    values: Float[torch.Tensor, "resamples ..."], level: float = 0.95
) -> Float[torch.Tensor, "2 ..."]:
    """Return between which values this share of the resamples lies, as much left out on each side.

    Resamples without a value (nan) are left out.
    """
    tail = (1 - level) / 2
    return values.nanquantile(values.new_tensor([tail, 1 - tail]), 0)


@dataclass(frozen=True)
class IoUIntervals:
    """Hold IoU, or differences of IoU: the value, and the lower and upper end of its interval."""

    mean: Float[torch.Tensor, " 3"]
    classes: Float[torch.Tensor, "3 classes"]


def iou_intervals(
    counts: Int[torch.Tensor, "groups 3 classes"],
    less: Int[torch.Tensor, "groups 3 classes"] | None = None,
    *,
    mean: Mean = "true_or_predicted",
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> IoUIntervals:
    """Return the mean IoU and every class's over all groups, with intervals at a level.

    `counts` are hits, true and predicted pixels of every group. With `less`, those of another
    result on the same groups, everything is a difference: the IoU less the other's. A resample in
    which a class has no IoU (nan) is left out of the interval of that class.

    Raises:
        ValueError: there is no group.
    """
    if not len(counts):
        raise ValueError("there is no group to draw from")
    results = torch.stack([counts] if less is None else [counts, less], 1).cpu()
    drawn = [_ious(some, mean) for some in resampled(results, resamples, seed)]
    value = _ious(results.sum(0, keepdim=True), mean)
    found = torch.cat((value, interval(torch.cat(drawn), level)))
    return IoUIntervals(found[:, 0], found[:, 1:])


def _ious(
    counts: Int[torch.Tensor, "many results 3 classes"], mean: Mean
) -> Float[torch.Tensor, "many mean_and_classes"]:
    """Return the mean IoU and every class's; of two results, what the first has more."""
    means = mean_iou_of_counts(counts, mean).unsqueeze(-1)
    first, *second = torch.cat((means, iou_of_counts(counts)), -1).unbind(1)
    return first - second[0] if second else first
