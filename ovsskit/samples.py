"""The packaged sample scenes: pictures to run on when nothing else is named, and how well a run did on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import PIL.Image

from ovsskit.embedded import NOUNS, sample_scenes
from ovsskit.lazy import numpy, torch
from ovsskit.metrics import confusion, mean_iou
from ovsskit.values import Vocabulary


def sample_pictures() -> list[Path]:
    """Return the pictures of the sample scenes, in order."""
    return [scene.picture for scene in sample_scenes()]


def sample_score(masks: Sequence[Path], vocabulary: Vocabulary) -> float | None:
    """Return the mean IoU, from 0 to 1, of masks of the sample scenes against the true ones.

    The background counts as a class; things that were not looked for count as background. None if a class was looked
    for that the true masks do not know, or a mask is of no sample scene.
    """
    truths = {scene.name: scene.mask for scene in sample_scenes()}
    if not set(vocabulary.names) <= set(NOUNS) or not masks or any(mask.stem not in truths for mask in masks):
        return None
    number_of = dict(zip(vocabulary.names, vocabulary.ids[1:], strict=True))
    table = numpy.array([0, *(number_of.get(noun, 0) for noun in NOUNS)])
    count = max(vocabulary.ids) + 1
    total = torch.zeros((count, count), dtype=torch.int64)
    for mask in masks:
        truth = table[numpy.asarray(PIL.Image.open(truths[mask.stem]))]
        found = numpy.asarray(PIL.Image.open(mask)).astype(int)
        total += confusion(torch.from_numpy(truth), torch.from_numpy(found), count)
    return mean_iou(total)
