"""Score label maps against true ones: confusion matrices and metrics from them.

Matrices of several images are added before anything else is computed. A matrix has a row for every
true class and a column for every class that may be predicted; it may have one more column, for
places predicted as none of the true classes. These lack in their true class, and are no class
themselves.

IoU and accuracy need no more than three counts of each class: see `marginals`. Functions that end
in `_of_counts` take these, with any dimensions in front, such as one per image or resample.

torchmetrics' Jaccard index agrees with the mean IoU of mmsegmentation, but it adds in float32
(which loses pixels from 17 million on), gives 0 to a class that is neither true nor predicted, has
no mean over true classes, and no place for what is predicted as none of the classes; its
`segmentation.mean_iou` averages over images.
"""

from __future__ import annotations

from typing import Literal

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.devices import in_float64

Mean = Literal["true_or_predicted", "true"]
"""The classes that a mean IoU is over. A class that is predicted, but nowhere true, counts as 0
(mmsegmentation) or does not count (PnP-OVSS, TagCLIP, CLIP-ES, CLIP as RNN)."""


def confusion(
    truth: Int[torch.Tensor, "*place"],
    predicted: Int[torch.Tensor, "*place"],
    classes: int,
    *,
    others: bool = False,
) -> Int[torch.Tensor, "true predicted"]:
    """Count places by true class (row) and predicted class (column).

    Places of a true class outside 0..classes-1 are left out. With `others`, a last column counts
    what is predicted as a class outside 0..classes-1.

    Raises:
        ValueError: such a class is predicted where the true class counts, without `others`.
    """
    counts = (truth >= 0) & (truth < classes)
    rows, columns = truth[counts].long(), predicted[counts].long()
    is_class = (columns >= 0) & (columns < classes)
    width = classes + others
    if others:
        columns = columns.where(is_class, classes)
    elif not is_class.all():
        raise ValueError(f"a class outside 0..{classes - 1} is predicted")
    return torch.bincount(rows * width + columns, minlength=classes * width).view(classes, width)


def marginals(
    matrix: Int[torch.Tensor, "*many true predicted"],
) -> Int[torch.Tensor, "*many 3 true"]:
    """Return of every class how many places were hit, are true, and are predicted."""
    predicted = matrix.sum(-2)[..., : matrix.shape[-2]]
    return torch.stack((matrix.diagonal(dim1=-2, dim2=-1), matrix.sum(-1), predicted), -2)


def iou_of_counts(
    counts: Int[torch.Tensor, "*many 3 classes"],
) -> Float[torch.Tensor, "*many classes"]:
    """Return every class's IoU in float64; nan for a class neither true nor predicted."""
    hits, true, predicted = in_float64(counts).unbind(-2)
    return hits / (true + predicted - hits)


def accuracy_of_counts(
    counts: Int[torch.Tensor, "*many 3 classes"],
) -> Float[torch.Tensor, "*many classes"]:
    """Return of every class the share of its places that was hit; nan where it is nowhere true."""
    hits, true, _ = in_float64(counts).unbind(-2)
    return hits / true


def mean_iou_of_counts(
    counts: Int[torch.Tensor, "*many 3 classes"], mean: Mean = "true_or_predicted"
) -> Float[torch.Tensor, "*many"]:
    """Average the IoU over classes, in float64; nan where no class counts."""
    shares = iou_of_counts(counts)
    if mean == "true":
        is_true = counts[..., 1, :].to(shares.device) > 0
        shares = shares.where(is_true, torch.nan)
    return shares.nanmean(-1)


def class_iou(matrix: Int[torch.Tensor, "true predicted"]) -> Float[torch.Tensor, " true"]:
    """Return every class's IoU in float64; nan for a class neither true nor predicted."""
    return iou_of_counts(marginals(matrix))


def class_accuracy(matrix: Int[torch.Tensor, "true predicted"]) -> Float[torch.Tensor, " true"]:
    """Return of every class the share of its places that was hit; nan where it is nowhere true."""
    return accuracy_of_counts(marginals(matrix))


def mean_iou(
    matrix: Int[torch.Tensor, "true predicted"], mean: Mean = "true_or_predicted"
) -> float:
    """Average the IoU over classes; by default one that is only predicted counts as 0.

    Source: mmsegmentation, `IoUMetric` (nanmean).
    """
    return float(mean_iou_of_counts(marginals(matrix), mean))


def mean_iou_of_true_classes(matrix: Int[torch.Tensor, "true predicted"]) -> float:
    """Average over the classes that are true somewhere; one that is only predicted does not count.

    Source: PnP-OVSS, released code (`scores`); the same in TagCLIP, CLIP-ES and CLIP-as-RNN.
    """
    return mean_iou(matrix, "true")


def mean_accuracy(matrix: Int[torch.Tensor, "true predicted"]) -> float:
    """Average, over the true classes, the share of their places that was hit."""
    return float(class_accuracy(matrix).nanmean())


def pixel_accuracy(matrix: Int[torch.Tensor, "true predicted"]) -> float:
    """Return the share of places whose class was found."""
    counts = in_float64(matrix)
    return float(counts.diagonal().sum() / counts.sum())


def frequency_weighted_iou(matrix: Int[torch.Tensor, "true predicted"]) -> float:
    """Average intersection over union, every class weighted by its share of the true places."""
    counts = in_float64(matrix)
    shares = counts.sum(1) / counts.sum()
    return float((shares * class_iou(matrix))[shares > 0].sum())
