"""Every protocol against a count of its own: sets of pixels for each class, in numpy."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from pydantic import ValidationError

from ovsskit.datasets.dataset import Facts
from ovsskit.datasets.protocol import PROTOCOLS, Counting, Protocol, find_protocol
from ovsskit.errors import BadValue
from ovsskit.ops.metrics import (
    class_accuracy,
    class_iou,
    frequency_weighted_iou,
    marginals,
    mean_accuracy,
    mean_iou,
    mean_iou_of_counts,
    pixel_accuracy,
)

NAMES = ("sky", "tree", "cat", "dog", "road")
CASES = 200
DROPPED_ONLY = Protocol(name="dropped", about="", background="dropped")
ALL = {**PROTOCOLS, "dropped": DROPPED_ONLY}


def facts_of(classes: int, background: int | None) -> Facts:
    return Facts("set", "A set", NAMES[:classes], ((0, 0, 0),) * classes, background)


def random_case(seed: int) -> tuple[Facts, numpy.ndarray, numpy.ndarray]:
    """Draw label maps with void pixels, and with classes that are absent, or only predicted."""
    draw = numpy.random.default_rng(seed)
    classes = int(draw.integers(1, len(NAMES) + 1))
    background = int(draw.integers(classes)) if seed % 2 else None
    size = draw.integers(1, 9, 2)
    truth, predicted = (
        draw.choice(
            draw.permutation(numpy.arange(-1, classes))[: draw.integers(1, classes + 2)], size
        )
        for _ in range(2)
    )
    agree = draw.random(size) < 0.5
    return facts_of(classes, background), truth, numpy.where(agree & (truth >= 0), truth, predicted)


def pairs_of(
    protocol: str, facts: Facts, truth: numpy.ndarray, predicted: numpy.ndarray
) -> list[tuple[object, object]]:
    """List the true and predicted class of every pixel that the protocol counts, by name."""
    background = "background" if facts.background is None else facts.classes[facts.background]
    pairs = []
    for true, found in zip(truth.flat, predicted.flat, strict=True):
        true_name = facts.classes[true] if true >= 0 else None
        found_name = facts.classes[found] if found >= 0 else None
        if facts.background is not None or protocol in ("pnp_ovss", "car_ade20k"):
            found_name = found_name or background
        if protocol in ("pnp_ovss", "car_ade20k"):
            true_name = true_name or background
        if protocol in ("car_ade20k", "dropped") and (
            true_name == background or found_name in (background, None)
        ):
            continue
        if true_name is not None:
            pairs.append((true_name, found_name))
    return pairs


def shares(protocol: str, facts: Facts, pairs: list[tuple[object, object]]) -> dict[str, float]:
    names = facts.classes
    if facts.background is None and protocol == "pnp_ovss":
        names = ("background", *names)
    if facts.background is not None and protocol in ("car_ade20k", "dropped"):
        names = tuple(name for number, name in enumerate(names) if number != facts.background)
    found = {}
    for name in names:
        true = {place for place, pair in enumerate(pairs) if pair[0] == name}
        predicted = {place for place, pair in enumerate(pairs) if pair[1] == name}
        union = len(true | predicted)
        found[name] = len(true & predicted) / union if union else math.nan
    return found


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


@pytest.mark.parametrize("name", ALL)
def test_every_metric_against_a_count_of_its_own(name: str) -> None:
    for seed in range(CASES):
        facts, truth, predicted = random_case(seed)
        counting = Counting(ALL[name], facts)
        matrix = counting.finish(
            counting.confusion(torch.from_numpy(truth), torch.from_numpy(predicted))
        )
        pairs = pairs_of(name, facts, truth, predicted)
        iou = shares(name, facts, pairs)
        true = {pair[0] for pair in pairs}
        hits = {one: mean([float(b == one) for a, b in pairs if a == one]) for one in iou}
        listed = [iou[one] for one in iou if not math.isnan(iou[one])]
        if name in ("pnp_ovss", "tagclip", "car_ade20k"):
            listed = [iou[one] for one in iou if one in true]
        weights = [
            iou[one] * mean([float(a == one) for a, _ in pairs]) for one in iou if one in true
        ]

        def same(found: object, expected: object, seed: int = seed) -> None:
            assert found == pytest.approx(expected, abs=1e-12, nan_ok=True), (name, seed)

        assert counting.scored == tuple(iou)
        same(class_iou(matrix).tolist(), list(iou.values()))
        same(class_accuracy(matrix).tolist(), list(hits.values()))
        same(mean_iou(matrix, ALL[name].mean), mean(listed))
        same(float(mean_iou_of_counts(marginals(matrix), ALL[name].mean)), mean(listed))
        same(mean_accuracy(matrix), mean([hits[one] for one in iou if one in true]))
        same(pixel_accuracy(matrix), mean([float(a == b) for a, b in pairs]))
        same(frequency_weighted_iou(matrix), math.fsum(weights))


def test_protocols_differ_on_one_and_the_same_result() -> None:
    """A road that is not there, a void pixel, and a tree that is left to the background."""
    facts = facts_of(5, None)
    truth = torch.tensor([0, 0, 1, 1, -1, 2])
    predicted = torch.tensor([0, 0, 1, -1, 4, 4])

    def score(name: str) -> float:
        counting = Counting(PROTOCOLS[name], facts)
        matrix = counting.finish(counting.confusion(truth, predicted))
        return mean_iou(matrix, PROTOCOLS[name].mean)

    assert score("mmsegmentation") == score("ifseg") == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert score("tagclip") == pytest.approx((1 + 0.5 + 0) / 3)
    assert score("pnp_ovss") == pytest.approx((0 + 1 + 0.5 + 0) / 4)
    assert score("car_ade20k") == pytest.approx((1 + 1 + 0) / 3)


def test_a_background_that_is_added_is_named_and_dropped() -> None:
    facts = facts_of(2, None)
    assert Counting(PROTOCOLS["pnp_ovss"], facts).scored == ("background", "sky", "tree")
    assert Counting(PROTOCOLS["car_ade20k"], facts).counted == ("background", "sky", "tree")
    assert Counting(PROTOCOLS["car_ade20k"], facts).scored == ("sky", "tree")
    own = facts_of(3, 1)
    assert Counting(PROTOCOLS["pnp_ovss"], own).scored == ("sky", "tree", "cat")
    assert Counting(PROTOCOLS["car_ade20k"], own).scored == ("sky", "cat")


def test_counts_are_finished_as_matrices_are() -> None:
    counting = Counting(PROTOCOLS["car_ade20k"], facts_of(3, 1))
    counts = torch.arange(9).view(3, 3)
    assert counting.finish_counts(counts).tolist() == [[0, 2], [3, 5], [6, 8]]
    many = torch.arange(24).view(2, 3, 4)
    assert counting.finish(many).tolist() == [[[0, 2], [8, 10]], [[12, 14], [20, 22]]]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_class_that_the_set_does_not_have_is_refused(name: str) -> None:
    counting = Counting(PROTOCOLS[name], facts_of(3, None))
    with pytest.raises(ValueError, match="is predicted"):
        counting.confusion(torch.tensor([0]), torch.tensor([3]))


def test_an_unknown_protocol_is_refused() -> None:
    assert find_protocol("tagclip").mean == "true"
    with pytest.raises(BadValue) as caught:
        find_protocol("tagclop")
    assert "There is no protocol `tagclop`." in str(caught.value)
    assert "Did you mean `tagclip`?" in str(caught.value)


def test_a_protocol_knows_no_other_keys_or_values() -> None:
    with pytest.raises(ValidationError):
        Protocol(name="mine", about="", void="dropped")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Protocol(name="mine", about="", ignore=255)  # type: ignore[call-arg]
    assert all(one.name == name and one.about for name, one in PROTOCOLS.items())
