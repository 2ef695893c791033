"""Take labels for good that agree with those of another recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ovsskit._lazy import Int, torch
from ovsskit.engine.sending import send_places
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Labels, Reward, Vocabulary
from ovsskit.ops.metrics import confusion, mean_iou_of_true_classes
from ovsskit.stages.reward._sizes import nearest


class ReferenceReward(Stage, writes="reward"):
    """Compare labels with those in the slot `reference`, of another recipe: the mean IoU, 0 to 1.

    The mean is over the classes that the reference shows, the background included. A class that the
    labels alone show has no IoU of its own, but its pixels lack in those of the others. Where the
    reference shows nothing but background, the reward is thus the share of the image that is left
    to the background: what is found there is judged too, and the same images count for all that are
    compared. A pixel to which the reference gives an id that is not in the vocabulary counts
    nowhere; an image of such pixels alone has no reward (not a number).
    Labels of another size are brought to the reference's, each pixel from the nearest one. What is
    written to `reference` should be at least as good and as fine as what is compared with it: what
    it misses, the reward teaches to miss. No label file or mask is read.

    Example:
        [[stage]]
        use = "reference_reward"
        reads = { reference = "labels_of_another" }
    """

    waits: ClassVar[str] = "the mean IoU is one number"

    def run(self, labels: Labels, reference: Labels, vocabulary: Vocabulary) -> Reward:
        """Return the reward of one image."""
        wanted = places(reference.ids, vocabulary.ids)
        found = places(nearest(labels.ids, wanted.shape), vocabulary.ids)
        others = len(vocabulary.ids)
        counts = confusion(wanted, found.where(found >= 0, others), others + 1)
        return Reward(torch.full((), mean_iou_of_true_classes(counts), device=labels.ids.device))


def places(ids: Int[torch.Tensor, "h w"], among: Sequence[int]) -> Int[torch.Tensor, "h w"]:
    """Return the place of every id among these, and -1 for any other."""
    top = max(among) + 1
    table = torch.full((top + 1,), -1, device=ids.device)
    table[send_places(among, ids.device)] = torch.arange(len(among), device=ids.device)
    return table[ids.long().clamp(-1, top)]
