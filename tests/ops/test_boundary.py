"""Boundary IoU against its definition: the mask of every class, eroded in steps of a pixel."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from scipy.ndimage import binary_erosion

from ovsskit.ops.boundary import boundaries, boundary_counts
from ovsskit.ops.metrics import iou_of_counts

SIZES = [(1, 1), (1, 9), (7, 1), (2, 3), (13, 17), (75, 100), (60, 120), (5, 200)]


def boundary_of(mask: numpy.ndarray, ratio: float) -> numpy.ndarray:
    height, width = mask.shape
    steps = max(1, round(ratio * math.sqrt(height**2 + width**2)))
    return mask & ~binary_erosion(mask, numpy.ones((3, 3)), iterations=steps, border_value=0)


def counted_by_class(
    truth: numpy.ndarray, predicted: numpy.ndarray, classes: int, ratio: float
) -> list[list[int]]:
    counts: list[list[int]] = [[], [], []]
    is_void = (truth < 0) | (truth >= classes)
    for number in range(classes):
        true = boundary_of(truth == number, ratio)
        found = boundary_of((predicted == number) & ~is_void, ratio)
        for listed, mask in zip(counts, (true & found, true, found), strict=True):
            listed.append(int(mask.sum()))
    return counts


def random_map(draw: numpy.random.Generator, size: tuple[int, int], top: int) -> numpy.ndarray:
    """Draw a label map of rectangles, the later ones over the earlier, and single pixels."""
    labels = numpy.full(size, draw.integers(-1, top))
    for _ in range(draw.integers(1, 9)):
        rows, columns = (numpy.sort(draw.integers(0, side + 1, 2)) for side in size)
        labels[rows[0] : rows[1], columns[0] : columns[1]] = draw.integers(-1, top)
    single = draw.random(size) < draw.choice([0, 0.001, 0.2])
    return numpy.where(single, draw.integers(-1, top, size), labels)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("ratio", [0.02, 0.005, 0.2])
def test_against_masks_eroded_one_by_one(size: tuple[int, int], ratio: float) -> None:
    draw = numpy.random.default_rng(7)
    for _ in range(12):
        classes = int(draw.integers(1, 6))
        truth, predicted = (random_map(draw, size, classes + 1) for _ in range(2))
        predicted = numpy.where(draw.random(size) < 0.7, truth, predicted)
        found = boundary_counts(
            torch.from_numpy(truth), torch.from_numpy(predicted), classes, ratio
        )
        assert found.tolist() == counted_by_class(truth, predicted, classes, ratio)


def test_a_square_by_hand() -> None:
    """A square of 20 pixels in an image of 100 by 75, whose diagonal is 125: a band of 2 pixels."""
    truth = torch.zeros((75, 100), dtype=torch.int64)
    truth[10:30, 10:30] = 1
    predicted = torch.zeros_like(truth)
    predicted[10:30, 11:31] = 1
    hits, true, found = boundary_counts(truth, predicted, 2).tolist()
    assert true[1] == found[1] == 20**2 - 16**2
    assert hits[1] == 19 * 4 + 16 * 2
    assert true[0] == 75 * 100 - 71 * 96 + 24**2 - 20**2


def test_edges_of_the_image_are_contours() -> None:
    truth = torch.zeros((75, 100), dtype=torch.int32)
    assert boundary_counts(truth, truth, 1).tolist() == [[75 * 100 - 71 * 96]] * 3


def test_whoever_finds_the_truth_is_right_up_to_the_void() -> None:
    """Around the object is a void border, and the prediction ends somewhere inside it."""
    truth = torch.zeros((75, 100), dtype=torch.int64)
    truth[20:50, 20:50], truth[25:45, 25:45] = -1, 1
    predicted = torch.zeros_like(truth)
    predicted[23:46, 22:49] = 1
    assert iou_of_counts(boundary_counts(truth, predicted, 2)).tolist() == [1, 1]


def test_classes_end_where_no_class_is_predicted() -> None:
    truth = torch.zeros((40, 40), dtype=torch.int64)
    predicted = truth.clone()
    predicted[20, 20], predicted[10, 10] = -1, 9
    hits, true, found = boundary_counts(truth, predicted, 1).flatten().tolist()
    assert (hits, true, found) == (40**2 - 38**2, 40**2 - 38**2, 40**2 - 38**2 + 8 + 8)


def test_a_class_without_a_pixel_has_no_boundary_iou() -> None:
    truth = torch.zeros((4, 4), dtype=torch.int64)
    first, second = iou_of_counts(boundary_counts(truth, truth, 2)).tolist()
    assert first == 1
    assert math.isnan(second)


def test_an_image_of_void_counts_nothing() -> None:
    void = torch.full((6, 5), -1)
    assert boundary_counts(void, void.clamp(0), 3).tolist() == [[0] * 3] * 3


def test_half_a_pixel_is_rounded_to_the_even_side() -> None:
    """As by the authors: 2 % of a diagonal of 125 pixels are 2.5, which makes 2."""
    inside = boundaries(torch.zeros((75, 100), dtype=torch.int64), 2)
    assert int((inside == 0).sum()) == 75 * 100 - 71 * 96
