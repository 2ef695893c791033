"""Count how sure and how right predictions are, for the expected calibration error.

Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
equations 2, 3 and 5. torchmetrics' calibration error sums in float32, puts a confidence on an edge
into the upper bin, and one of exactly 1 into a bin of its own; else it agrees.
"""

from __future__ import annotations

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.devices import in_float64

BINS = 15
"""As in the paper."""
ROUNDING = 1e-5
"""What a confidence may lie outside 0..1, as means of probabilities in float32 do."""


def calibration_counts(
    confidence: Float[torch.Tensor, "*place"],
    correct: Bool[torch.Tensor, "*place"],
    bins: int = BINS,
) -> Float[torch.Tensor, "3 bins"]:
    """Count, in bins of equal width, the places, their summed confidence, and the correct ones.

    A bin includes its upper edge; the first includes 0, too. Edges are multiples of 1 / `bins` in
    float64. Counts of several images are added.

    Raises:
        ValueError: a confidence lies outside 0..1 by more than rounding, or is no number.
    """
    sure = in_float64(confidence).flatten()
    if not ((sure >= -ROUNDING) & (sure <= 1 + ROUNDING)).all():
        raise ValueError("a confidence is not a number from 0 to 1")
    sure = sure.clamp(0, 1)
    upper_edges = torch.arange(1, bins, device=sure.device, dtype=sure.dtype) / bins
    numbers = torch.bucketize(sure, upper_edges)
    places = torch.stack((torch.ones_like(sure), sure, correct.to(sure).flatten()))
    return places.new_zeros((3, bins)).index_add_(1, numbers, places)


def expected_calibration_error(counts: Float[torch.Tensor, "3 bins"]) -> float:
    """Average over places how far the accuracy of their bin is from its confidence, 0 to 1.

    Not a number where nothing was counted.
    """
    number, confidence, correct = in_float64(counts)
    return float((correct - confidence).abs().sum() / number.sum())
