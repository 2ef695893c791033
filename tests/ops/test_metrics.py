"""Every score against a count of places by hand, on random label maps: classes may be absent, only
predicted, or ignored, and places may be predicted as none of the classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.ops.metrics import (
    accuracy_of_counts,
    class_accuracy,
    class_iou,
    confusion,
    frequency_weighted_iou,
    iou_of_counts,
    marginals,
    mean_accuracy,
    mean_iou,
    mean_iou_of_counts,
    mean_iou_of_true_classes,
    pixel_accuracy,
)
from ovsskit.torchvision_names import declare_torchvision

DECLARED = declare_torchvision()
from torchmetrics.functional.classification import (  # noqa: E402
    multiclass_accuracy,
    multiclass_jaccard_index,
)

Places = list[tuple[int, int]]
CLASSES = 5
IGNORED = (255, -1, CLASSES)
PLACES = st.lists(
    st.tuples(st.sampled_from([*range(CLASSES), *IGNORED]), st.integers(0, CLASSES - 1)),
    max_size=30,
)
"""True and predicted class of some places."""
PLACES_WITH_OTHERS = st.lists(
    st.tuples(
        st.sampled_from([*range(CLASSES), *IGNORED]), st.sampled_from([*range(CLASSES), *IGNORED])
    ),
    max_size=30,
)
"""The same, where none of the classes may be predicted."""


def matrix_of(places: Places, others: bool = False) -> torch.Tensor:
    truth, predicted = (
        torch.tensor([pair[side] for pair in places], dtype=torch.int64) for side in (0, 1)
    )
    return confusion(truth, predicted, CLASSES, others=others)


def counted(places: Places) -> Places:
    return [pair for pair in places if 0 <= pair[0] < CLASSES]


def iou_by_hand(places: Places) -> dict[int, Fraction]:
    """Return the IoU of every class that is true or predicted where the truth counts, from sets of
    places.
    """
    found = {}
    for number in range(CLASSES):
        true = {place for place, pair in enumerate(counted(places)) if pair[0] == number}
        predicted = {place for place, pair in enumerate(counted(places)) if pair[1] == number}
        if true | predicted:
            found[number] = Fraction(len(true & predicted), len(true | predicted))
    return found


def average(values: list[Fraction]) -> float:
    return float(sum(values) / len(values)) if values else math.nan


def true_classes(places: Places) -> list[int]:
    return sorted({true for true, _ in counted(places)})


def found_share(places: Places, number: int) -> Fraction:
    mine = [predicted for true, predicted in counted(places) if true == number]
    return Fraction(mine.count(number), len(mine))


def weighted_by_hand(places: Places) -> float:
    shares = {
        number: Fraction(sum(true == number for true, _ in counted(places)), len(counted(places)))
        for number in true_classes(places)
    }
    return float(sum(share * iou_by_hand(places)[number] for number, share in shares.items()))


BY_HAND: dict[Callable[[torch.Tensor], float], Callable[[Places], float]] = {
    mean_iou: lambda places: average(list(iou_by_hand(places).values())),
    mean_iou_of_true_classes: lambda places: average(
        [iou_by_hand(places)[number] for number in true_classes(places)]
    ),
    mean_accuracy: lambda places: average(
        [found_share(places, number) for number in true_classes(places)]
    ),
    pixel_accuracy: lambda places: average(
        [Fraction(true == predicted) for true, predicted in counted(places)]
    ),
    frequency_weighted_iou: weighted_by_hand,
}


@pytest.mark.parametrize("metric", BY_HAND, ids=lambda metric: metric.__name__)
@given(places=PLACES)
def test_against_a_count_by_hand(metric: Callable[[torch.Tensor], float], places: Places) -> None:
    found, expected = metric(matrix_of(places)), BY_HAND[metric](places)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("metric", BY_HAND, ids=lambda metric: metric.__name__)
@given(places=PLACES_WITH_OTHERS)
def test_with_a_column_of_others(metric: Callable[[torch.Tensor], float], places: Places) -> None:
    found, expected = metric(matrix_of(places, others=True)), BY_HAND[metric](places)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(places=PLACES_WITH_OTHERS)
def test_iou_and_accuracy_of_every_class(places: Places) -> None:
    matrix, expected = matrix_of(places, others=True), iou_by_hand(places)
    for number, found in enumerate(class_iou(matrix).tolist()):
        assert found == pytest.approx(float(expected.get(number, math.nan)), nan_ok=True)
    for number, found in enumerate(class_accuracy(matrix).tolist()):
        is_true = number in true_classes(places)
        share = float(found_share(places, number)) if is_true else math.nan
        assert found == pytest.approx(share, nan_ok=True)


@given(images=st.lists(PLACES_WITH_OTHERS, min_size=1, max_size=4))
def test_many_at_once_are_each_by_itself(images: list[Places]) -> None:
    each = [matrix_of(places, others=True) for places in images]
    counts = marginals(torch.stack(each))
    for found, matrix in zip(counts, each, strict=True):
        assert torch.equal(found, marginals(matrix))
    torch.testing.assert_close(
        iou_of_counts(counts), torch.stack([class_iou(one) for one in each]), equal_nan=True
    )
    torch.testing.assert_close(
        accuracy_of_counts(counts),
        torch.stack([class_accuracy(one) for one in each]),
        equal_nan=True,
    )
    for mean in ("true_or_predicted", "true"):
        found = mean_iou_of_counts(counts, mean).tolist()
        assert found == pytest.approx([mean_iou(one, mean) for one in each], nan_ok=True)


def test_what_is_predicted_as_no_class_lacks_in_its_true_class_alone() -> None:
    matrix = matrix_of([(0, 0), (0, 255), (1, 1), (1, -1), (255, 7)], others=True)
    assert matrix.shape == (CLASSES, CLASSES + 1)
    assert matrix[:, -1].tolist() == [1, 1, 0, 0, 0]
    assert marginals(matrix)[:, :2].tolist() == [[1, 1], [2, 2], [1, 1]]
    assert mean_iou(matrix) == 0.5


@given(places=PLACES.filter(counted))
def test_torchmetrics_agrees_on_what_it_counts(places: Places) -> None:
    """It has float32, 0 for a class neither true nor predicted, and no column of others."""
    pairs = torch.tensor(counted(places))
    truth, predicted = pairs.unbind(1)
    matrix = confusion(truth, predicted, CLASSES)

    def theirs(average: str) -> torch.Tensor:
        return multiclass_jaccard_index(predicted, truth, CLASSES, average=average)

    shares = class_iou(matrix)
    assert theirs("none").tolist() == pytest.approx(shares.nan_to_num(0).tolist())
    assert float(theirs("macro")) == pytest.approx(mean_iou(matrix))
    assert float(theirs("weighted")) == pytest.approx(frequency_weighted_iou(matrix), abs=1e-6)
    accuracy = multiclass_accuracy(predicted, truth, CLASSES, average="micro")
    assert float(accuracy) == pytest.approx(pixel_accuracy(matrix))


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    """As in mmsegmentation; PnP-OVSS leaves it out."""
    matrix = matrix_of([(0, 0), (0, 0), (1, 1), (1, 2)])
    assert class_iou(matrix).tolist()[:3] == [1, 0.5, 0]
    assert mean_iou(matrix) == pytest.approx((1 + 0.5 + 0) / 3)
    assert mean_iou_of_true_classes(matrix) == pytest.approx((1 + 0.5) / 2)


def test_what_is_predicted_where_the_truth_is_ignored_counts_nowhere() -> None:
    matrix = matrix_of([(0, 0), (255, 3), (-1, 1)])
    assert int(matrix.sum()) == 1
    assert mean_iou(matrix) == 1


def test_matrices_add_up() -> None:
    one, other = [(0, 1), (1, 1)], [(1, 1), (2, 0)]
    assert torch.equal(matrix_of(one) + matrix_of(other), matrix_of(one + other))


@pytest.mark.parametrize("wrong", [-1, CLASSES])
def test_a_predicted_class_out_of_range_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match=f"outside 0..{CLASSES - 1}"):
        matrix_of([(0, wrong)])
    assert int(matrix_of([(255, wrong)]).sum()) == 0
