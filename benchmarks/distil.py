r"""Teach a small student what a recipe finds in painted scenes, and compare the two.

    python benchmarks/distil.py
    python benchmarks/distil.py --student deeplab-tiny --start "" --updates 1000 --batch 16 \
        --rate 4e-4 --smallest-part 0.3 --colour-change 0.3
    python benchmarks/distil.py quickstart --work kept    # goes on where it was stopped

Without options the lesson is that of the student that comes with the package. The scenes are
painted, and the recipe labels them. Their true masks judge teacher and student, on other scenes
alone: pixels where none of the teacher's words is true are background there. Both pipelines are
timed in one run on the same scenes, file to labels, one image at a time; processor seconds are
given, too, for machines that do other work.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import ovsskit
from ovsskit.cli.distil_report import DistilReport
from ovsskit.datasets.masks import read_mask
from ovsskit.embedded import CLASSES
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.run.output.training import MODEL
from tiny_models.train_student import Lesson, paint_once, teach

JUDGED = 240_000_000
"""Seed of the first scene to judge by: far from all others."""


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("teacher", nargs="?", default=Lesson.teacher)
    for name, default in asdict(Lesson()).items():
        if name != "teacher":
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, type=type(default), default=default, help=f"{default}")
    parser.add_argument("--judged", type=int, default=100)
    parser.add_argument("--work", type=Path, help="where scenes and student are kept")
    chosen = parser.parse_args()
    lesson = Lesson(**{name: getattr(chosen, name) for name in asdict(Lesson())})
    with tempfile.TemporaryDirectory() as passing:
        folder = chosen.work or Path(passing)
        begun = now()
        with DistilReport(quiet=False) as report:
            student = teach(lesson, folder, callbacks=report)
        spent = now() - begun
        paint_once(folder / "judged", chosen.judged, JUDGED)
        show(lesson.teacher, student, folder / "judged")
        wall, processor = spent.tolist()
        what = "painting, the teacher's run and teaching"
        Console().print(f"{what}: {wall:.0f} s, of the processor {processor:.0f} s")


def now() -> torch.Tensor:
    """Return seconds on the wall, and of the processor."""
    return torch.tensor([time.perf_counter(), time.process_time()], dtype=torch.float64)


def show(teacher: str, student: Path, judged: Path) -> None:
    """Print mIoU, size and speed of teacher and student."""
    table = Table(title=f"{len(list(judged.glob('*.png')))} scenes that neither was taught on")
    columns = ("mIoU by truth", "by teacher", "seconds an image", "of the processor", "weights, MB")
    for column in ("", *columns):
        table.add_column(column, justify="right" if column else "left")
    labels = {}
    for name, recipe in (("teacher", teacher), ("student", student / "recipe.toml")):
        pipeline = ovsskit.load(recipe)
        images = sorted(judged.glob("*.png"))
        pipeline(images[0])
        start = now()
        labels[name] = [pipeline(image).labels for image in images]
        paces = ((now() - start) / len(images)).tolist()
        masks = [torch.from_numpy(read_mask(judged / "masks" / image.name)) for image in images]
        words = pipeline.plan.vocabulary.names
        truth = [label_of(words)[mask.long()] for mask in masks]
        by = {"truth": truth, "teacher": labels["teacher"]}
        scores = [_miou(one, labels[name], len(words) + 1) for one in by.values()]
        size = _size(pipeline, student if name == "student" else None)
        shown = [f"{100 * one:.1f}" for one in scores] + [f"{one:.4f}" for one in paces]
        table.add_row(name, *shown, f"{size:.1f}")
    Console().print(table)


def label_of(words: Sequence[str]) -> torch.Tensor:
    """Return which label of a recipe a number in a true mask is; 0 where no word is true of it."""
    return torch.tensor([0, *(words.index(one) + 1 if one in words else 0 for one in CLASSES)])


def _miou(masks: list[torch.Tensor], found: list[torch.Tensor], labels: int) -> float:
    """Return the mean IoU over the labels that are true or found."""
    pairs = zip(masks, found, strict=True)
    return mean_iou(torch.stack([confusion(*pair, labels) for pair in pairs]).sum(0))


def _size(pipeline: ovsskit.Pipeline, student: Path | None) -> float:
    if student is not None:
        return (student / MODEL).stat().st_size / 1e6
    files = {path for model in pipeline.models.values() for path in model.read_files().values()}  # type: ignore[attr-defined]
    size: int = sum(path.stat().st_size for path in files)
    return size / 1e6


if __name__ == "__main__":
    main()
