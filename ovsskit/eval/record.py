"""Say what was measured on what, by which rules: the record of a result, as plain JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovsskit.datasets.dataset import Dataset
from ovsskit.datasets.matching import Matching
from ovsskit.eval.totals import Totals, known
from ovsskit.files.digests import digest_path, digest_texts
from ovsskit.ops.bootstrap import iou_intervals

LEVEL = 0.95
"""How sure it is that a number lies within its interval, if other images were drawn."""


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return which images are measured on, with a digest of their names and of the lists."""
    return {
        "name": dataset.facts.name,
        "title": dataset.facts.title,
        "split": dataset.split,
        "layout": dataset.layout,
        "classes": list(dataset.facts.classes),
        "background": dataset.facts.background,
        "images": len(dataset.items),
        "published_images": _published(dataset),
        "names": digest_texts(item.name for item in dataset.items),
        "files": {Path(file).name: digest_path(Path(file)) for file in dataset.files},
    }


def _published(dataset: Dataset) -> int:
    """Return how many images the split has as published; how many are here if that is not known."""
    splits = {one.name: one.images for one in dataset.facts.splits}
    return splits.get(dataset.split, 0) or len(dataset.items)


def describe_result(totals: Totals, matching: Matching) -> dict[str, Any]:
    """Return every metric with its interval, the metrics of each class, and what was left out.

    `confusion` holds a true class, a predicted one and their pixels; what is predicted as none of
    the classes has the number behind the last.
    """
    scored = totals.scored
    return {
        "protocol": totals.counting.protocol.model_dump(),
        "images": {
            "counted": totals.images,
            "left_out": totals.left_out,
            "truth": f"{totals.truth:016x}",
        },
        "left_out": totals.reasons,
        "not_looked_for": list(matching.missed),
        "of_no_class": list(matching.others),
        "metrics": totals.metrics(),
        **_with_intervals(totals),
        "confusion": [[*pair, int(scored[*pair])] for pair in scored.nonzero().tolist()],
    }


def _with_intervals(totals: Totals) -> dict[str, Any]:
    """Return the interval of the mean IoU, and every class with that of its IoU."""
    groups, classes = totals.groups[totals.groups.any(-1).any(-1)], totals.per_class()
    miou: list[float | None] = [None, None]
    if len(groups):
        found = iou_intervals(groups, mean=totals.counting.protocol.mean, level=LEVEL)
        miou = known(found.mean[1:].tolist())
        for one, ends in zip(classes, found.classes[1:].T.tolist(), strict=True):
            one["iou_interval"] = known(ends)
    return {
        "interval": {"miou": miou, "level": LEVEL, "groups": len(groups)},
        "classes": classes,
    }
