"""Count the pixels near the contours of classes, for boundary IoU.

Source: Cheng, Girshick, Dollár, Berg, Kirillov, "Boundary IoU: Improving Object-Centric Image
Segmentation Evaluation", CVPR 2021, arXiv 2103.16562; for label maps with void as in LPOSS
(Stojnić et al., CVPR 2025) and CorrCLIP v2, released code.
"""

from __future__ import annotations

import math

from ovsskit._lazy import Int, torch

VOID = -1
"""What label maps hold here where no class is, and around the image."""


def boundary_counts(
    truth: Int[torch.Tensor, "h w"],
    predicted: Int[torch.Tensor, "h w"],
    classes: int,
    ratio: float = 0.02,
) -> Int[torch.Tensor, "3 classes"]:
    """Count, of every class, the boundary pixels that agree, that are true, and that are predicted.

    The boundary of a class are its pixels that have another label, or the outside of the image,
    within `ratio` of the image's diagonal, rounded, at least 1 pixel; distances are counted along
    rows or columns, whichever is greater. Counts of several images are added; boundary IoU is the
    IoU of the sums (`ovsskit.ops.metrics.iou_of_counts`).

    Pixels of a true class outside 0..classes-1 are void. The prediction is void there, too, so that
    nothing is counted, and in both maps classes end at void: whoever finds the truth has an IoU of
    1, wherever the true contour runs inside the void. What is predicted as a class outside
    0..classes-1 is no class, and classes end there.
    """
    is_void = (truth < 0) | (truth >= classes)
    is_no_class = is_void | (predicted < 0) | (predicted >= classes)
    distance = max(1, round(ratio * math.hypot(*truth.shape)))
    true = boundaries(truth.masked_fill(is_void, VOID), distance)
    found = boundaries(predicted.masked_fill(is_no_class, VOID), distance)
    return torch.stack(
        [
            torch.bincount(labels[labels != VOID], minlength=classes)
            for labels in (true.where(true == found, VOID), true, found)
        ]
    )


def boundaries(labels: Int[torch.Tensor, "h w"], distance: int) -> Int[torch.Tensor, "h w"]:
    """Return labels with VOID where no other label, and no edge of the image, is that near.

    A window of pixels is even if none of the blocks of 2 by 2 pixels in it differs; running sums
    count those that do, whatever the window's size (Crow, "Summed-Area Tables", 1984).
    """
    padded = torch.nn.functional.pad(labels, (distance,) * 4, value=VOID)
    beside, below = padded[:, 1:] != padded[:, :-1], padded[1:] != padded[:-1]
    differs = beside[1:] | beside[:-1] | below[:, 1:]
    blocks = 2 * distance
    along = torch.nn.functional.pad(differs, (1, 0, 1, 0)).cumsum(1, dtype=torch.int32)
    down = (along[:, blocks:] - along[:, :-blocks]).cumsum(0, dtype=torch.int32)
    return labels.long().masked_fill(down[blocks:] == down[:-blocks], VOID)
