from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_confusion_matrix

from ovsskit.compare.pixel_counts import class_differences, count_pixels, disagreement

CLASSES = 5
SIDE = st.integers(1, 6)
MASKS = st.tuples(SIDE, SIDE).flatmap(
    lambda size: st.tuples(*2 * [arrays.arrays("int64", size, elements=st.integers(0, 4))])
)


@given(MASKS)
def test_pairs_are_counted_as_in_a_confusion_matrix(masks) -> None:
    first, second = masks
    matrix = multiclass_confusion_matrix(
        torch.from_numpy(second), torch.from_numpy(first), num_classes=CLASSES
    )
    found = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    for pair, count in count_pixels(first, second, CLASSES).items():
        found[pair] = count
    assert torch.equal(found, matrix)


@given(MASKS)
def test_classes_differ_as_their_masks_do(masks) -> None:
    first, second = masks
    counts = count_pixels(first, second, CLASSES)
    assert disagreement(counts) == pytest.approx((first != second).mean())
    found = class_differences(counts)
    assert {one.place for one in found} == {*first.ravel().tolist(), *second.ravel().tolist()}
    for one in found:
        ours, theirs = first == one.place, second == one.place
        assert one.first == pytest.approx(ours.mean())
        assert one.second == pytest.approx(theirs.mean())
        assert one.differing == pytest.approx((ours ^ theirs).mean())
        assert one.iou == pytest.approx((ours & theirs).sum() / (ours | theirs).sum())
        others = numpy.concatenate([second[ours & ~theirs], first[theirs & ~ours]])
        swaps = numpy.bincount(others, minlength=CLASSES)
        assert (one.swapped is None) == (not others.size)
        assert one.swapped is None or swaps[one.swapped] == swaps.max()


def test_the_class_with_the_most_differing_pixels_comes_first() -> None:
    first, second = numpy.array([[0, 0, 0, 1, 2, 3]]), numpy.array([[0, 0, 2, 2, 2, 3]])
    found = class_differences(count_pixels(first, second, 4))
    assert [one.place for one in found] == [2, 0, 1, 3]
    assert found[0].iou == pytest.approx(1 / 3)
    assert found[2].iou == 0
    assert found[2].swapped == 2
    assert found[3].iou == 1
    assert found[3].swapped is None
