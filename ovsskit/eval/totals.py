"""Add up what was counted of images, and compute the metrics from the sums."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import xxhash

from ovsskit._lazy import Float, Int, torch
from ovsskit.datasets.protocol import Counting
from ovsskit.eval.counts import ImageCounts
from ovsskit.ops.calibration import BINS, expected_calibration_error
from ovsskit.ops.metrics import (
    accuracy_of_counts,
    frequency_weighted_iou,
    iou_of_counts,
    marginals,
    mean_accuracy,
    mean_iou_of_counts,
    pixel_accuracy,
)

GROUPS = 512
"""How many groups of images are told apart for intervals: memory is bounded by them."""
SHOWN_LEFT_OUT = 100
"""Of how many images that were left out the record says why; `images.jsonl` says it of all."""


@dataclass
class Totals:
    """Hold the sums over images: they need as much memory for a hundred images as for a million.

    `left_out` counts images that were, and `reasons` say why of the first of them; `truth` is a
    digest of the true masks that count. `groups` are the marginals of groups of images, from which
    intervals are drawn; an image's place in the data set says which is its group, so that results
    on the same images have the same ones.
    """

    counting: Counting
    images: int = 0
    left_out: int = 0
    reasons: list[dict[str, str]] = field(default_factory=list)
    truth: int = 0
    matrix: Int[torch.Tensor, "true predicted"] = field(init=False)
    boundary: Int[torch.Tensor, "3 class"] = field(init=False)
    bins: Float[torch.Tensor, "3 bin"] = field(init=False)
    groups: Int[torch.Tensor, "group 3 class"] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no image."""
        classes = len(self.counting.counted)
        self.matrix = torch.zeros(classes, classes + 1, dtype=torch.int64)
        self.boundary = torch.zeros(3, classes, dtype=torch.int64)
        self.bins = torch.zeros(3, BINS, dtype=torch.float64)
        scored = len(self.counting.scored)
        self.groups = torch.zeros(GROUPS, 3, scored, dtype=torch.int64)

    def add(self, counts: ImageCounts) -> None:
        """Add an image; of one that was left out, only that it was."""
        if counts.left_out:
            self.left_out += 1
            if len(self.reasons) < SHOWN_LEFT_OUT:
                self.reasons.append({"name": counts.name, "reason": counts.left_out})
            return
        self.truth ^= xxhash.xxh3_64_intdigest(f"{counts.index} {counts.truth}".encode())
        matrix = counts.matrix(len(self.counting.counted))
        self.images += 1
        self.matrix += matrix
        self.groups[counts.index % GROUPS] += marginals(self.counting.finish(matrix))
        for number, *near in counts.boundary:
            self.boundary[:, number] += torch.tensor(near)
        for number, *values in counts.bins:
            self.bins[:, number] += torch.tensor(values, dtype=torch.float64)

    @property
    def scored(self) -> Int[torch.Tensor, "true predicted"]:
        """Return the confusion matrix of the classes that are scored."""
        return self.counting.finish(self.matrix)

    def metrics(self) -> dict[str, float | None]:
        """Return every metric over all classes, from 0 to 1; None where nothing tells it."""
        matrix, mean = self.scored, self.counting.protocol.mean
        near = self.counting.finish_counts(self.boundary)
        found = {
            "miou": mean_iou_of_counts(marginals(matrix), mean).item(),
            "mean_accuracy": mean_accuracy(matrix),
            "pixel_accuracy": pixel_accuracy(matrix),
            "frequency_weighted_iou": frequency_weighted_iou(matrix),
            "boundary_iou": mean_iou_of_counts(near, mean).item(),
            "calibration_error": expected_calibration_error(self.bins),
        }
        return dict(zip(found, known(found.values()), strict=True))

    def per_class(self) -> list[dict[str, Any]]:
        """Return of every scored class its name, pixels, IoU, accuracy and boundary IoU."""
        counts = marginals(self.scored)
        near = iou_of_counts(self.counting.finish_counts(self.boundary))
        columns = zip(
            self.counting.scored,
            counts[1].tolist(),
            counts[2].tolist(),
            known(iou_of_counts(counts).tolist()),
            known(accuracy_of_counts(counts).tolist()),
            known(near.tolist()),
            strict=True,
        )
        return [
            {
                "name": name,
                "true_pixels": true,
                "predicted_pixels": predicted,
                "iou": iou,
                "accuracy": accuracy,
                "boundary_iou": close,
            }
            for name, true, predicted, iou, accuracy, close in columns
        ]


def known(values: Iterable[float]) -> list[float | None]:
    """Return numbers, and None for what is none: JSON has no nan."""
    return [None if math.isnan(value) else float(value) for value in values]
