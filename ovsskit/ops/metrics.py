"""Score label maps against true ones: confusion matrices and metrics from them.

The metrics follow the two usual conventions.
Matrices of several images are added before anything else is computed.
"""

from __future__ import annotations

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.devices import in_float64


def confusion(
    truth: Int[torch.Tensor, "*place"], predicted: Int[torch.Tensor, "*place"], classes: int
) -> Int[torch.Tensor, "classes classes"]:
    """Count places by true class (row) and predicted class (column).

    Places of a true class outside 0..classes-1 are left out.

    Raises:
        ValueError: a class outside 0..classes-1 is predicted where the true class counts.
    """
    counts = (truth >= 0) & (truth < classes)
    rows, columns = truth[counts].long(), predicted[counts].long()
    if len(columns) and (int(columns.min()) < 0 or int(columns.max()) >= classes):
        raise ValueError(f"a class outside 0..{classes - 1} is predicted")
    return torch.bincount(rows * classes + columns, minlength=classes**2).view(classes, classes)


def class_iou(matrix: Int[torch.Tensor, "classes classes"]) -> Float[torch.Tensor, " classes"]:
    """Return every class's IoU in float64; nan for a class neither true nor predicted."""
    counts = in_float64(matrix)
    hits = counts.diagonal()
    return hits / (counts.sum(0) + counts.sum(1) - hits)


def mean_iou(matrix: Int[torch.Tensor, "classes classes"]) -> float:
    """Average over the classes that are true or predicted; one that is only predicted counts as 0.

    Source: mmsegmentation, `IoUMetric` (nanmean).
    """
    return float(class_iou(matrix).nanmean())


def mean_iou_of_true_classes(matrix: Int[torch.Tensor, "classes classes"]) -> float:
    """Average over the classes that are true somewhere; one that is only predicted does not count.

    Source: PnP-OVSS, released code (`scores`); the same in TagCLIP, CLIP-ES and CLIP-as-RNN.
    """
    shares = class_iou(matrix)
    return float(shares[matrix.sum(1).to(shares.device) > 0].mean())


def mean_accuracy(matrix: Int[torch.Tensor, "classes classes"]) -> float:
    """Average, over the true classes, the share of their places that was found."""
    counts = in_float64(matrix)
    return float((counts.diagonal() / counts.sum(1)).nanmean())


def pixel_accuracy(matrix: Int[torch.Tensor, "classes classes"]) -> float:
    """Return the share of places whose class was found."""
    counts = in_float64(matrix)
    return float(counts.diagonal().sum() / counts.sum())


def frequency_weighted_iou(matrix: Int[torch.Tensor, "classes classes"]) -> float:
    """Average intersection over union, every class weighted by its share of the true places."""
    counts = in_float64(matrix)
    shares = counts.sum(1) / counts.sum()
    return float((shares * class_iou(matrix))[shares > 0].sum())
