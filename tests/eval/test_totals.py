"""Sums over images give what all pixels together give, whatever the order."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.datasets.dataset import VOID, Facts
from ovsskit.datasets.protocol import PROTOCOLS, Counting
from ovsskit.eval.counts import ImageCounts, count_image
from ovsskit.eval.totals import GROUPS, Totals

CLASSES = 4
FACTS = Facts("four", "Four", tuple("abcd"), ((1, 2, 3),) * CLASSES)
Maps = tuple[numpy.ndarray, numpy.ndarray]


@st.composite
def maps(draw: st.DrawFn) -> Maps:
    """Return a true and a predicted mask of one size; both may hold what is none of the classes."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    size = shape[0] * shape[1]
    numbers = st.lists(st.integers(VOID, CLASSES - 1), min_size=size, max_size=size)
    true, found = (numpy.array(draw(numbers)).reshape(shape) for _ in range(2))
    return true, found


def totals_of(images: list[Maps], protocol: str, order: int = 1) -> Totals:
    counting = Counting(PROTOCOLS[protocol], FACTS)
    totals = Totals(counting)
    lines = []
    for index, (true, found) in enumerate(images):
        confidence = torch.full(true.shape, 0.25 * (index % 4))
        counts = count_image(index, str(index), true, found, counting, confidence)
        lines.append(counts.to_line().encode())
    for line in lines[::order]:
        totals.add(ImageCounts.from_line(line))
    return totals


def iou_by_hand(images: list[Maps], protocol: str) -> dict[str, float]:
    """Return the IoU of every class from lists of pixels."""
    pixels = [
        pair for image in images for pair in zip(*(one.ravel() for one in image), strict=True)
    ]
    names = dict(enumerate(FACTS.classes))
    if PROTOCOLS[protocol].void == "background":
        names[VOID] = "background"
    found = {}
    for number, name in names.items():
        true = {i for i, (t, _) in enumerate(pixels) if t == number}
        predicted = {i for i, (t, p) in enumerate(pixels) if p == number and t in names}
        if PROTOCOLS[protocol].background == "dropped":
            predicted -= {i for i, (t, _) in enumerate(pixels) if t == VOID}
            true -= {i for i, (_, p) in enumerate(pixels) if p == VOID}
        if true | predicted:
            found[name] = len(true & predicted) / len(true | predicted)
        if not true and PROTOCOLS[protocol].mean == "true":
            found.pop(name, None)
    if PROTOCOLS[protocol].background == "dropped":
        found.pop("background", None)
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(images=st.lists(maps(), min_size=1, max_size=5))
def test_the_mean_iou_is_that_of_a_count_by_hand(protocol: str, images: list[Maps]) -> None:
    expected = iou_by_hand(images, protocol)
    found = totals_of(images, protocol).metrics()["miou"]
    if expected:
        assert found == pytest.approx(math.fsum(expected.values()) / len(expected))
    else:
        assert found is None


@given(images=st.lists(maps(), min_size=2, max_size=6))
def test_the_order_of_images_does_not_matter(images: list[Maps]) -> None:
    forwards, backwards = (totals_of(images, "mmsegmentation", order) for order in (1, -1))
    assert forwards.metrics() == backwards.metrics()
    assert forwards.per_class() == backwards.per_class()
    assert torch.equal(forwards.groups, backwards.groups)


def test_groups_sum_to_the_whole_and_their_number_is_bounded() -> None:
    random = numpy.random.default_rng(0)
    images = [tuple(random.integers(0, CLASSES, (2, 2, 2))) for _ in range(GROUPS + 40)]
    totals = totals_of(images, "mmsegmentation")
    assert len(totals.groups) == GROUPS
    assert totals.groups.sum(0)[1].sum() == 4 * len(images)
    assert totals.groups[0, 1].sum() == 8


def test_an_image_that_was_left_out_counts_nowhere() -> None:
    totals = totals_of([(numpy.zeros((2, 2), int),) * 2], "mmsegmentation")
    before = totals.metrics()
    totals.add(ImageCounts(1, "broken", left_out="It is broken."))
    assert totals.images == 1
    assert totals.metrics() == before


def test_nothing_counted_gives_no_number() -> None:
    totals = totals_of([(numpy.full((2, 2), VOID), numpy.zeros((2, 2), int))], "mmsegmentation")
    assert totals.metrics()["miou"] is None
