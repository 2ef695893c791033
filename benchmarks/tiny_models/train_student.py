"""Teach the tiny student: a small network learns from painted scenes what a recipe finds there."""

from dataclasses import asdict, dataclass
from pathlib import Path

import ovsskit
from ovsskit.distil.distil import DistilCallbacks
from searching.table import paint

TAUGHT = 230_000_000
"""Seed of the first scene: far from all others."""


@dataclass(frozen=True)
class Lesson:
    """Say who teaches whom on how many scenes, and with which settings of `distil`."""

    teacher: str = "quickstart"
    student: str = "vit"
    start: str = "embedded"
    scenes: int = 1000
    updates: int = 1000
    image_size: int = 112
    batch: int = 8
    rate: float = 5e-4
    random_start: float = 10.0
    smallest_part: float = 0.6
    colour_change: float = 0.1


def teach(
    lesson: Lesson, folder: Path, *overrides: str, callbacks: DistilCallbacks | None = None
) -> Path:
    """Paint scenes where there are none, let the student learn, and return its folder.

    What was stopped goes on.
    """
    paint_once(folder / "taught", lesson.scenes, TAUGHT)
    apart = ("teacher", "student", "scenes")
    settings = [f"distil.{key}={one}" for key, one in asdict(lesson).items() if key not in apart]
    return ovsskit.run_distil(
        lesson.teacher,
        str(folder / "taught" / "*.png"),
        *settings,
        *overrides,
        student=lesson.student,
        out=folder / "student",
        callbacks=callbacks,
    )


def paint_once(folder: Path, scenes: int, seed: int) -> None:
    """Paint scenes into a folder, unless it is there."""
    if not folder.exists():
        paint(folder, scenes, seed, "training", backgrounds=True)
