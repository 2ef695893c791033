"""Compare what is found with the true masks of a study's images, for the metric `miou`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovsskit._lazy import Int, numpy, torch
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadStudy
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.study.spec.objectives import Objective
from ovsskit.study.spec.true_masks import IGNORED, check_masks, find_masks, read_once


@dataclass(frozen=True)
class Truth:
    """Know the true masks of images; `ignored` is the number that counts nowhere."""

    masks: Mapping[Path, Path]
    table: Mapping[int, int] | None
    count: int
    ignored: int = IGNORED

    def confusion(
        self, image: Path, found: Int[torch.Tensor, "h w"]
    ) -> Int[torch.Tensor, "classes classes"]:
        """Count the pixels of an image by true and found class."""
        true = torch.from_numpy(read_once(self.masks[image]).astype(numpy.int64))
        if self.table is not None:
            true = torch.tensor(
                [self.table.get(number, 0) for number in range(int(true.max()) + 1)]
            )[true]
        if found.shape != true.shape:
            found = torch.nn.functional.interpolate(found[None, None].float(), true.shape)[
                0, 0
            ].long()
        return confusion(torch.where(true == self.ignored, -1, true), found.cpu(), self.count)


def read_truth(
    objective: Objective, images: Sequence[Path], samples: bool, vocabulary: Vocabulary
) -> Truth:
    """Return the true masks of images: of a folder, or those of the sample scenes.

    Raises:
        BadStudy: the images are not sample scenes and no masks are named, or the classes are none
            of the scenes'.
        BadFile: an image has no mask, or its mask cannot be that of this image and these classes.
    """
    count = max(vocabulary.ids) + 1
    if objective.masks is not None:
        masks = find_masks(objective.masks, images, objective.place)
        check_masks(masks, vocabulary)
        return Truth(masks, None, count, -1 if IGNORED in vocabulary.ids else IGNORED)
    from ovsskit.embedded import NOUNS, sample_scenes

    scenes = {scene.image: scene.mask for scene in sample_scenes()}
    if not samples and not set(images) <= set(scenes):
        fix = 'Add masks = "folder" to the objective, or take a reward, which needs none.'
        raise BadStudy("The metric `miou` needs true masks.", fix=fix, where=objective.place)
    if not set(vocabulary.names) <= set(NOUNS):
        raise BadStudy(
            "The masks of the sample scenes do not contain all of these classes.",
            where=objective.place,
        )
    number_of = dict(zip(vocabulary.names, vocabulary.ids[1:], strict=True))
    return Truth(
        scenes, {index: number_of.get(noun, 0) for index, noun in enumerate(NOUNS, 1)}, count
    )


def miou_of(matrices: Sequence[Int[torch.Tensor, "classes classes"]]) -> float:
    """Return the mean IoU, from 0 to 1, over the pixels of several images."""
    return mean_iou(torch.stack(list(matrices)).sum(0))
