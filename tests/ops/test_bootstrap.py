"""Intervals against resamples that are drawn, added and scored one by one, and known answers."""

from __future__ import annotations

import itertools
import math

import numpy
import pytest
import torch
from scipy.stats import binom

from ovsskit.ops import bootstrap
from ovsskit.ops.bootstrap import (
    draw_groups,
    interval,
    iou_intervals,
    resample_weights,
    resampled,
)
from ovsskit.ops.metrics import Mean


def random_counts(seed: int, groups: int = 9, classes: int = 4) -> torch.Tensor:
    """Draw counts of groups; classes may be absent from most groups, or only predicted."""
    draw = numpy.random.default_rng(seed)
    shown = draw.random((groups, classes)) < draw.choice([0.1, 0.5, 1], classes)
    true = draw.integers(0, 50, (groups, classes)) * shown * (draw.random(classes) < 0.8)
    hits = draw.integers(0, true + 1)
    predicted = hits + draw.integers(0, 30, (groups, classes)) * shown
    return torch.from_numpy(numpy.stack((hits, true, predicted), 1))


def ious_by_hand(drawn: list[numpy.ndarray], mean: Mean) -> list[float]:
    """Return the mean IoU and every class's of the groups drawn, added in integers."""
    hits, true, predicted = sum(drawn).tolist()
    shares = [
        hit / (one + other - hit) if one + other else math.nan
        for hit, one, other in zip(hits, true, predicted, strict=True)
    ]
    among = true if mean == "true" else [a + b for a, b in zip(true, predicted, strict=True)]
    counted = [share for share, pixels in zip(shares, among, strict=True) if pixels]
    return [math.fsum(counted) / len(counted) if counted else math.nan, *shares]


def ends_by_hand(values: list[float], level: float) -> list[float]:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return [math.nan, math.nan]
    return [float(numpy.quantile(known, end)) for end in ((1 - level) / 2, (1 + level) / 2)]


@pytest.mark.parametrize("mean", ["true_or_predicted", "true"])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("level", [0.95, 0.5])
def test_against_resamples_one_by_one(mean: Mean, paired: bool, level: float) -> None:
    for seed in range(8):
        results = [random_counts(seed), random_counts(100 + seed)][: 1 + paired]
        options = {"mean": mean, "resamples": 200, "seed": seed, "level": level}
        found = iou_intervals(*results, **options)
        draws = [range(9), *numpy.random.default_rng(seed).integers(9, size=(200, 9))]
        rows = []
        for drawn in draws:
            each = [
                ious_by_hand([counts[group].numpy() for group in drawn], mean) for counts in results
            ]
            rows.append([a - b for a, b in zip(*each, strict=True)] if paired else each[0])
        value, *resamples = rows
        for place, expected in enumerate(zip(value, *resamples, strict=True)):
            mine = found.mean if place == 0 else found.classes[:, place - 1]
            ends = ends_by_hand(list(expected[1:]), level)
            assert mine.tolist() == pytest.approx([expected[0], *ends], abs=1e-12, nan_ok=True)


def test_a_known_answer() -> None:
    """Forty images of 10 pixels are all right or all wrong: right ones are binomial."""
    right = torch.arange(40) < 26
    counts = torch.stack((10 * right, torch.full((40,), 10), torch.full((40,), 10)), 1)[..., None]
    value, low, high = iou_intervals(counts, resamples=20_000, seed=3).mean.tolist()

    def iou(found: float) -> float:
        return found / (80 - found)

    assert value == pytest.approx(26 / 54)
    for end, share in ((low, 0.025), (high, 0.975)):
        exact = binom.ppf(share, 40, 26 / 40)
        assert iou(exact - 1) <= end <= iou(exact + 1)
    assert low < value < high


def test_a_result_does_not_differ_from_itself_and_equal_groups_leave_no_doubt() -> None:
    counts = random_counts(5)
    nothing = iou_intervals(counts, counts, resamples=50)
    assert nothing.mean.tolist() == [0, 0, 0]
    assert set(nothing.classes.nan_to_num().flatten().tolist()) == {0}
    equal = torch.tensor([[[3], [4], [5]]]).expand(7, 3, 1)
    assert iou_intervals(equal, resamples=50).mean.tolist() == [0.5, 0.5, 0.5]


def test_a_pair_is_surer_than_its_results() -> None:
    """Images are easy or hard for both; one result finds a little more in each."""
    easy = torch.randint(20, 90, (60, 1), generator=torch.Generator().manual_seed(1))
    whole = torch.full_like(easy, 100)
    better, worse = (torch.stack((easy + more, whole, whole), 1) for more in (3, 0))
    low, high = iou_intervals(better, worse, resamples=2000).mean[1:].tolist()
    alone = iou_intervals(worse, resamples=2000).mean
    assert 0 < low < high
    assert high - low < float(alone[2] - alone[1]) / 5


def test_parts_are_drawn_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = numpy.random.default_rng(4).integers(7, size=(33, 7))
    for most in (1, 5, 8, 1000):
        monkeypatch.setattr(bootstrap, "MOST_RESAMPLES", most)
        parts = list(draw_groups(7, 33, 4))
        assert max(map(len, parts)) == min(most, 33)
        assert (numpy.concatenate(parts) == whole).all()
    monkeypatch.setattr(bootstrap, "MOST_DRAWN", 20)
    assert [len(part) for part in draw_groups(7, 5, 4)] == [2, 2, 1]
    assert [len(part) for part in draw_groups(50, 2, 4)] == [1, 1]


def test_weights_say_how_often_a_group_was_drawn() -> None:
    drawn = numpy.concatenate(list(draw_groups(6, 40, 2)))
    weights = torch.cat(list(resample_weights(6, 40, 2)))
    assert weights.tolist() == [[list(row).count(group) for group in range(6)] for row in drawn]
    assert set(weights.sum(1).tolist()) == {6}


def test_sums_of_many_pixels_are_exact() -> None:
    pixels = torch.tensor([2**47 + 1, 2**40 + 3, 5])
    drawn = itertools.chain.from_iterable(draw_groups(3, 30, 0))
    expected = [[int(pixels[group]) for group in groups] for groups in drawn]
    sums = torch.cat(list(resampled(pixels.view(3, 1, 1, 1).expand(3, 1, 3, 1), 30, 0)))
    assert sums[:, 0, 2, 0].tolist() == list(map(sum, expected))


def test_an_interval_leaves_out_what_has_no_value() -> None:
    values = torch.tensor([[1, 0, math.nan], [2, math.nan, math.nan], [3, 4, math.nan]]).double()
    assert interval(values, 0.5)[:, :2].tolist() == [[1.5, 1], [2.5, 3]]
    assert interval(values)[:, 2].isnan().all()


def test_without_groups_there_is_no_interval() -> None:
    with pytest.raises(ValueError, match="no group"):
        iou_intervals(torch.zeros((0, 3, 2), dtype=torch.int64))
