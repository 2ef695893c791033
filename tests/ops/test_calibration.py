"""The expected calibration error against its equation, place by place, and torchmetrics'."""

from __future__ import annotations

import math

import pytest
import torch

from ovsskit.ops.calibration import BINS, calibration_counts, expected_calibration_error
from ovsskit.torchvision_names import declare_torchvision

DECLARED = declare_torchvision()
from torchmetrics.functional.classification import multiclass_calibration_error  # noqa: E402


def by_hand(confidence: list[float], correct: list[bool], bins: int) -> float:
    """Return the error as the paper writes it: bins that are open below and closed above."""
    total = 0.0
    for number in range(1, bins + 1):
        inside = [
            place
            for place, sure in enumerate(confidence)
            if (number - 1) / bins < sure <= number / bins or (number == 1 and sure == 0)
        ]
        if inside:
            accuracy = sum(correct[place] for place in inside) / len(inside)
            mean = math.fsum(confidence[place] for place in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


def random_places(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw probabilities of five classes at some places, and true classes."""
    draw = torch.Generator().manual_seed(seed)
    count = int(torch.randint(1, 400, (), generator=draw))
    logits = torch.randn((count, 5), generator=draw, dtype=torch.float64) * (1 + seed % 4)
    return logits.softmax(1), torch.randint(5, (count,), generator=draw)


@pytest.mark.parametrize("bins", [1, 10, BINS])
def test_against_the_equation_and_torchmetrics(bins: int) -> None:
    for seed in range(40):
        probabilities, truth = random_places(seed)
        confidence, found = probabilities.max(1)
        error = expected_calibration_error(calibration_counts(confidence, found == truth, bins))
        expected = by_hand(confidence.tolist(), (found == truth).tolist(), bins)
        assert error == pytest.approx(expected, abs=1e-12)
        theirs = multiclass_calibration_error(probabilities, truth, num_classes=5, n_bins=bins)
        assert error == pytest.approx(float(theirs), abs=1e-6)


def test_edges_belong_to_the_bin_below() -> None:
    confidence = torch.tensor([0, 0.25, 0.5, 0.50001, 1], dtype=torch.float64)
    number, total, right = calibration_counts(confidence, confidence > 0.3, 4)
    assert number.tolist() == [2, 1, 1, 1]
    assert total.tolist() == [0.25, 0.5, 0.50001, 1]
    assert right.tolist() == [0, 1, 1, 1]


def test_a_known_answer() -> None:
    """Of ten places that are sure to 80 %, six are right; of ten that are sure to 40 %, four."""
    confidence = torch.tensor([0.8] * 10 + [0.4] * 10, dtype=torch.float64)
    correct = torch.tensor([True] * 6 + [False] * 4 + [True] * 4 + [False] * 6)
    error = expected_calibration_error(calibration_counts(confidence, correct))
    assert error == pytest.approx((10 * 0.2 + 10 * 0) / 20)


def test_counts_of_images_add_up() -> None:
    confidence = torch.linspace(0, 1, 60).view(2, 5, 6)
    correct = confidence > 0.4
    parts = sum(calibration_counts(*pair) for pair in zip(confidence, correct, strict=True))
    torch.testing.assert_close(parts, calibration_counts(confidence, correct))


def test_rounding_leads_out_of_no_bin() -> None:
    confidence = torch.tensor([1 + 1e-6, -1e-6, 1])
    number, total, _ = calibration_counts(confidence, confidence > 0.5)
    assert number.tolist() == [1, *[0] * (BINS - 2), 2]
    assert total.tolist() == [0, *[0] * (BINS - 2), 2]


def test_without_places_there_is_no_error() -> None:
    counts = calibration_counts(torch.zeros(0), torch.zeros(0, dtype=torch.bool))
    assert counts.shape == (3, BINS)
    assert math.isnan(expected_calibration_error(counts))


@pytest.mark.parametrize("wrong", [-0.1, 1.001, math.nan])
def test_what_is_no_confidence_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        calibration_counts(torch.tensor([0.5, wrong]), torch.tensor([True, False]))
