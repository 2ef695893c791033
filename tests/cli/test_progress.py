"""Progress bars say what is being done, and how long the rest takes."""

from __future__ import annotations

import pytest
from rich.progress import BarColumn, Task

from ovsskit.cli.console import LiveReport, TimeLeft, progress_bar


def task_of(completed: float, *, before: int = 0, seconds: float = 10.0) -> Task:
    progress = progress_bar(shown=False)
    number = progress.add_task("images", total=20, completed=0, before=before)
    task = progress.tasks[0]
    task.start_time, task.stop_time = 0.0, seconds
    progress.update(number, completed=completed)
    return task


@pytest.mark.parametrize(
    ("completed", "before", "left"),
    [
        (0, 0, "-:--:--"),
        (5, 0, "0:00:30"),
        (4.5, 0, "0:00:34"),
        (20, 0, "0:00:00"),
        (15, 10, "0:00:10"),
        (10, 10, "-:--:--"),
    ],
)
def test_the_rest_takes_the_mean_pace_since_the_beginning(
    completed: float, before: int, left: str
) -> None:
    assert TimeLeft().render(task_of(completed, before=before)).plain == left


def test_a_phase_is_shown_and_its_time_is_not_counted() -> None:
    report = LiveReport()
    report.live = report.progress = progress_bar(shown=False)
    report.task = report.progress.add_task("images", total=3)
    [task] = report.progress.tasks
    task.start_time = -1000.0
    with report.phase("reading backbone"):
        assert task.description == "reading backbone"
    assert task.description == "images"
    assert task.elapsed is not None
    assert task.elapsed < 1000
    assert (task.total, task.completed) == (3, 0)


def test_a_bar_tells_what_is_gone_from_what_is_left() -> None:
    task = task_of(5)
    texts = [one(task) for one in progress_bar().columns if not isinstance(one, BarColumn)]
    assert " ".join(map(str, texts)) == "images  5/20 0:00:10 elapsed, 0:00:30 left"
