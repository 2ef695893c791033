"""The embedded student finds on new scenes what it was taught; the floors lie some points below
what it reached.
"""

from __future__ import annotations

import numpy as np
import torch

import ovsskit
from ovsskit.embedded import NOUNS, STUDENT_FOLDER
from ovsskit.ops.metrics import confusion, mean_iou
from tiny_models.evaluate import evaluation_scenes


def test_the_shipped_student() -> None:
    student, teacher = ovsskit.load("student_tiny"), ovsskit.load("quickstart")
    classes = len(NOUNS) + 1
    by_truth = by_teacher = torch.zeros(classes, classes, dtype=torch.int64)
    for scene in evaluation_scenes(40):
        pixels = np.asarray(scene.image)
        found, taught = student(pixels).labels, teacher(pixels).labels
        truth = torch.from_numpy(scene.things.astype("int64"))
        by_truth = by_truth + confusion(truth, found, classes)
        by_teacher = by_teacher + confusion(taught, found, classes)
    assert mean_iou(by_truth) >= 0.45
    assert mean_iou(by_teacher) >= 0.40


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in STUDENT_FOLDER.iterdir()) < 3_000_000
