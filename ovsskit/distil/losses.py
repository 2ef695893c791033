"""What a student is taught by: the classes of pixels that are sure, and the teacher's vectors."""

from __future__ import annotations

from typing import Literal

from ovsskit._lazy import Bool, Float, Int, torch

IGNORED = -1
"""The label of pixels that teach nothing."""


def ignore_unsure(
    labels: Int[torch.Tensor, "*image h w"],
    confidence: Float[torch.Tensor, "*image h w"],
    below: float,
) -> Int[torch.Tensor, "*image h w"]:
    """Return labels without those of pixels where the teacher's best value is below a threshold.

    So does MaskCLIP+'s released code (chongzhou96/MaskCLIP 245d31f), with annotated pixels, too.
    """
    return torch.where(confidence < below, IGNORED, labels)


def class_loss(
    logits: Float[torch.Tensor, "image class rows cols"],
    labels: Int[torch.Tensor, "image h w"],
    mean_over: Literal["known", "all"] = "known",
) -> Float[torch.Tensor, ""]:
    """Return the mean cross-entropy over pixels of logits that are enlarged to them.

    The mean is that over pixels that are not `IGNORED`, or the sum over them divided by the number
    of all pixels, as MaskCLIP+'s released code (chongzhou96/MaskCLIP 245d31f) has it.
    """
    enlarged = torch.nn.functional.interpolate(logits, labels.shape[1:], mode="bilinear")
    total = torch.nn.functional.cross_entropy(
        enlarged, labels, ignore_index=IGNORED, reduction="sum"
    )
    count = labels.numel() if mean_over == "all" else int((labels != IGNORED).sum())
    return total / max(count, 1)


def feature_loss(
    student: Float[torch.Tensor, "image width rows cols"],
    teacher: Float[torch.Tensor, "image width grid_h grid_w"],
    taught: Bool[torch.Tensor, "image h w"],
) -> Float[torch.Tensor, ""]:
    """Return the mean absolute difference of vectors over the pixels that are taught.

    The teacher's are made unit, the student's are not; both are enlarged to the pixels.
    Source: Zhou et al. 2022, MaskCLIP+, whose released code takes the student's after a detach, so
    that its loss has no gradient; this one has.
    """
    unit = torch.nn.functional.normalize(teacher, dim=1)
    ours, theirs = (
        torch.nn.functional.interpolate(one, taught.shape[1:], mode="bilinear")
        for one in (student, unit)
    )
    difference = (ours - theirs).abs().mean(1)[taught]
    return difference.sum() / max(difference.numel(), 1)
