"""Teach a small student what a recipe finds in painted scenes, and compare the two.

    python benchmarks/distil.py
    python benchmarks/distil.py ifseg_tiny --student segformer-tiny --updates 1500 --batch 8
    python benchmarks/distil.py quickstart --work kept    # goes on where it was stopped

Scenes are painted, and the recipe labels them; their true masks judge teacher and student on other
scenes alone: what no word of the teacher's is true of is background there. Speed is that of both
pipelines on the same scenes in one run, file to labels, one image at a time. Seconds of the
processor are given, too, for machines that do other work.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
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
from searching.table import paint

TAUGHT, JUDGED = 230_000_000, 240_000_000
"""Seeds of the first scene to teach on, and of the first to judge by: far from all others."""


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("teacher", nargs="?", default="quickstart")
    parser.add_argument("--student", default="deeplab-tiny")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--judged", type=int, default=100)
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--work", type=Path, help="where scenes and student are kept")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = chosen.work or Path(passing)
        begun = now()
        for name, count, seed in (
            ("taught", chosen.scenes, TAUGHT),
            ("judged", chosen.judged, JUDGED),
        ):
            if not (folder / name).exists():
                paint(folder / name, count, seed, "training", backgrounds=True)
        painted = now()
        with DistilReport(quiet=False) as report:
            student = ovsskit.run_distil(
                chosen.teacher,
                str(folder / "taught" / "*.png"),
                f"distil.updates={chosen.updates}",
                f"distil.image_size={chosen.image_size}",
                f"distil.rate={chosen.rate}",
                f"distil.batch={chosen.batch}",
                student=chosen.student,
                out=folder / "student",
                callbacks=report,
            )
        spent = {"painting": painted - begun, "teacher's run and teaching": now() - painted}
        show(chosen.teacher, student, folder / "judged", spent)


def now() -> torch.Tensor:
    """Return seconds on the wall, and of the processor."""
    return torch.tensor([time.perf_counter(), time.process_time()], dtype=torch.float64)


def show(teacher: str, student: Path, judged: Path, spent: dict[str, torch.Tensor]) -> None:
    """Print mIoU, size and speed of teacher and student."""
    table = Table(title=f"{len(list(judged.glob('*.png')))} scenes that neither was taught on")
    for column in ("", "mIoU by truth", "mIoU by teacher", "seconds an image", "weights, MB"):
        table.add_column(column, justify="left" if not column else "right")
    labels = {}
    for name, recipe in (("teacher", teacher), ("student", student / "recipe.toml")):
        pipeline = ovsskit.load(recipe)
        images = sorted(judged.glob("*.png"))
        pipeline(images[0])
        start = time.perf_counter()
        labels[name] = [pipeline(image).labels for image in images]
        pace = (time.perf_counter() - start) / len(images)
        masks = [torch.from_numpy(read_mask(judged / "masks" / image.name)) for image in images]
        words = pipeline.plan.vocabulary.names
        truth = [label_of(words)[mask.long()] for mask in masks]
        by = {"truth": truth, "teacher": labels["teacher"]}
        scores = [_miou(one, labels[name], len(words) + 1) for one in by.values()]
        size = _size(pipeline, student if name == "student" else None)
        table.add_row(name, *(f"{100 * one:.1f}" for one in scores), f"{pace:.4f}", f"{size:.1f}")
    console = Console()
    console.print(table)
    for what, (wall, processor) in spent.items():
        console.print(f"{what}: {wall:.0f} s, of the processor {processor:.0f} s")


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
