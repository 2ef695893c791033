"""Judge a student on images that it was not taught on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ovsskit._lazy import torch
from ovsskit.distil.labelled import Labelled
from ovsskit.files.remote import image_path
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.recipe.build import load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.truths import Truths

AGREEMENT, TRUE_STUDENT, TRUE_TEACHER = "student by teacher", "student by truth", "teacher by truth"


def judge(
    recipe: Path, held_out: Labelled, truths: Truths | None, device: str, batch: int
) -> dict[str, float]:
    """Return mean IoUs from 0 to 1: the student's by the teacher, and those of both by truth.

    Raises:
        OvsskitError: an image, a mask or a true mask cannot be read any more.
    """
    words = held_out.run.vocabulary
    plan = replace(load_recipe(recipe).plan, vocabulary=words)
    pipeline = Pipeline(plan, device=device, batch=batch)
    rendering, classes = held_out.run.rendering, len(words.ids)
    found = torch.zeros(classes, classes, dtype=torch.int64)
    true: dict[str, torch.Tensor] = {}
    for index in range(len(held_out)):
        record = held_out.record(index)
        result = pipeline(
            image_path(record.source), stretch=rendering.stretch, bands=rendering.bands
        )
        found += confusion(held_out[index].labels, result.labels.cpu(), classes)
        if truths is None or record.source not in truths.items:
            continue
        theirs = held_out.run.mask(record)
        for name, ids in ((TRUE_STUDENT, result.ids.cpu().numpy()), (TRUE_TEACHER, theirs)):
            counts = truths.count(record.source, ids)
            true[name] = true[name] + counts if name in true else counts
    scores = {AGREEMENT: mean_iou(found)} if len(held_out) else {}
    return scores | {name: mean_iou(matrix) for name, matrix in true.items()}
