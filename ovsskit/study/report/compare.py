"""Put finished studies side by side: the best value so far, by trial and by second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from ovsskit.errors import BadFile, BadStudy, Place
from ovsskit.files.reading import Unreadable, read_json
from ovsskit.study.search.trials import Row, best_row, progress
from ovsskit.study.spec.objectives import Direction, sign_of

MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


class Goal(BaseModel):
    """Give the shape of an objective in `trials.json`."""

    name: str
    direction: Direction


class Default(BaseModel):
    """Give the shape of the values of the unchanged recipe."""

    values: list[float] = []


class Trials(BaseModel):
    """Declare what is read of `trials.json`."""

    sampler: str
    objectives: Annotated[list[Goal], Field(min_length=1)]
    default: Default
    trials: list[Row]


@dataclass(frozen=True)
class Finished:
    """Hold what a study left in its folder."""

    name: str
    sampler: str
    objective: str
    direction: Direction
    default: float | None
    rows: list[Row]

    @property
    def best(self) -> Row | None:
        """Return the best trial."""
        return best_row(self.rows, sign_of(self.direction))


def read_finished(folder: Path) -> Finished:
    """Read what a study left in its folder.

    Raises:
        BadFile: there is no such thing.
    """
    path = folder / "trials.json" if folder.is_dir() else folder
    try:
        found: Trials = read_json(path, Trials)
    except Unreadable as error:
        what = f"There is no finished study here: {error}."
        fix = "Name the folder of a finished study."
        raise BadFile(what, fix=fix, where=Place(str(folder))) from error
    first = found.objectives[0]
    default = found.default.values[0] if found.default.values else None
    return Finished(
        folder.name or str(folder),
        found.sampler,
        first.name,
        first.direction,
        default,
        found.trials,
    )


def compare(folders: Sequence[Path]) -> dict[str, Any]:
    """Return what several studies reached per trial and per second of work, as plain JSON values.

    Raises:
        BadStudy: there are fewer than two, or they have another first objective.
        BadFile: a folder holds no finished study.
    """
    if len(folders) < 2:
        raise BadStudy(
            "A comparison takes two studies or more.",
            fix="ovsskit study compare A B, with their folders.",
        )
    studies = [read_finished(folder) for folder in folders]
    goals = {(one.objective, one.direction) for one in studies}
    if len(goals) > 1:
        raise BadStudy(
            "The studies have different first objectives: "
            f"{', '.join(sorted(name for name, _ in goals))}."
        )
    steps = [progress(one.rows, sign_of(one.direction)) for one in studies]
    most_trials = max(len(one.rows) for one in studies)
    most_seconds = max((one.rows[-1].at for one in studies if one.rows), default=0.0)
    return {
        "objective": studies[0].objective,
        "direction": studies[0].direction,
        "studies": [_describe(one) for one in studies],
        "by_trial": _reached(steps, 0, most_trials),
        "by_second": _reached(steps, 1, most_seconds),
    }


def _describe(study: Finished) -> dict[str, Any]:
    best = study.best
    return {
        "name": study.name,
        "sampler": study.sampler,
        "trials": len(study.rows),
        "seconds": study.rows[-1].at if study.rows else 0.0,
        "default": study.default,
        "best": None if best is None else best.values,
        "params": {} if best is None else best.params,
    }


def _reached(
    steps: Sequence[Sequence[tuple[int, float, float]]], by: int, most: int | float
) -> list[dict[str, Any]]:
    marks = [*(mark for mark in MARKS if mark < most), most]
    return [{"at": mark, "best": [_last(one, by, mark) for one in steps]} for mark in marks]


def _last(steps: Sequence[tuple[int, float, float]], by: int, mark: int | float) -> float | None:
    return next((step[2] for step in reversed(steps) if step[by] <= mark), None)
