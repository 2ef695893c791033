"""Teach a small student what a recipe finds in painted scenes, and compare the two.

    python benchmarks/distil.py
    python benchmarks/distil.py itaclip_tiny --scenes 300 --updates 500

Scenes are painted, and the recipe labels them; their true masks judge teacher and student on other
scenes alone. Speed is that of both pipelines on the same scenes in one run, file to labels, one
image at a time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
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
    parser.add_argument("teacher", nargs="?", default="ifseg_tiny")
    parser.add_argument("--student", default="segformer-tiny")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--judged", type=int, default=100)
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--out", type=Path, help="where the student is kept")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        begun = time.perf_counter()
        for name, count, seed in (
            ("taught", chosen.scenes, TAUGHT),
            ("judged", chosen.judged, JUDGED),
        ):
            paint(folder / name, count, seed, "training", backgrounds=True)
        painted = time.perf_counter()
        with DistilReport(quiet=False) as report:
            student = ovsskit.run_distil(
                chosen.teacher,
                str(folder / "taught" / "*.png"),
                f"distil.updates={chosen.updates}",
                f"distil.image_size={chosen.image_size}",
                f"distil.rate={chosen.rate}",
                student=chosen.student,
                out=chosen.out or folder / "student",
                callbacks=report,
            )
        taught = time.perf_counter()
        show(chosen.teacher, student, folder / "judged", taught - painted, painted - begun)


def show(teacher: str, student: Path, judged: Path, seconds: float, painting: float) -> None:
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
        labels[name] = [pipeline(image).ids for image in images]
        pace = (time.perf_counter() - start) / len(images)
        known = {word: number for number, word in enumerate(CLASSES, 1)}
        translated = torch.zeros(1 + max(pipeline.plan.vocabulary.ids), dtype=torch.int64)
        for word, number in zip(
            pipeline.plan.vocabulary.names, pipeline.plan.vocabulary.ids[1:], strict=True
        ):
            translated[number] = known[word]
        labels[name] = [translated[one] for one in labels[name]]
        truth = [torch.from_numpy(read_mask(judged / "masks" / image.name)) for image in images]
        by = {"truth": truth, "teacher": labels["teacher"]}
        scores = [_miou(masks, labels[name]) for masks in by.values()]
        size = _size(pipeline, student if name == "student" else None)
        table.add_row(name, *(f"{100 * one:.1f}" for one in scores), f"{pace:.4f}", f"{size:.1f}")
    console = Console()
    console.print(table)
    console.print(f"painting {painting:.0f} s; teacher's run and teaching {seconds:.0f} s")


def _miou(masks: list[torch.Tensor], found: list[torch.Tensor]) -> float:
    """Return the mean IoU over words; pixels that no word is true of are left out."""
    total = torch.zeros(len(CLASSES), len(CLASSES) + 1, dtype=torch.int64)
    for mask, mine in zip(masks, found, strict=True):
        total += confusion(mask.long() - 1, mine - 1, len(CLASSES), others=True)
    return mean_iou(total)


def _size(pipeline: ovsskit.Pipeline, student: Path | None) -> float:
    if student is not None:
        return (student / MODEL).stat().st_size / 1e6
    files = {path for model in pipeline.models.values() for path in model.read_files().values()}  # type: ignore[attr-defined]
    size: int = sum(path.stat().st_size for path in files)
    return size / 1e6


if __name__ == "__main__":
    main()
