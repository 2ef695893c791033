"""Work on a study: take turns until none is left, here or in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ovsskit.engine.store import Store
from ovsskit.errors import StudyFailed
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.judge_trial import judge_trial
from ovsskit.study.search.open_storage import open_storage
from ovsskit.study.search.queue import PAUSE, TrialQueue
from ovsskit.study.search.storage import TrialStorage
from ovsskit.study.search.trials import Row
from ovsskit.study.spec.plan import StudyPlan

SAME_FAILURES = 5
"""The study stops after this many failed trials in a row: then the study itself is wrong."""


@dataclass(frozen=True)
class Place:
    """Say where a study's things are: its folder, its storage, and how large the store may grow."""

    folder: Path
    storage: str
    memory_bytes: int
    disk_bytes: int
    plugins: tuple[Path, ...] = ()

    def trial_storage(self, plan: StudyPlan) -> TrialStorage:
        """Open the storage of the trials."""
        return open_storage(
            self.storage, self.folder, plan.search.settings.heartbeat, plan.search.title
        )

    def store(self) -> Store:
        """Open the store of what networks wrote."""
        return Store(self.folder / "store", self.memory_bytes, self.disk_bytes)


def work(
    queue: TrialQueue, plan: StudyPlan, evaluator: Evaluator, after: Callable[[], object]
) -> None:
    """Take turns until the study is finished; `after` is called after each."""
    while not queue.finished():
        if queue.take(lambda trial, values: judge_trial(plan, evaluator, queue, trial, values)):
            after()
        else:
            time.sleep(PAUSE)
            after()


def see_failures(rows: list[Row]) -> None:
    """Check that not every trial fails.

    Raises:
        StudyFailed: the last ones all did.
    """
    last = rows[-SAME_FAILURES:]
    if len(last) == SAME_FAILURES and all(row.state == "failed" for row in last):
        raise StudyFailed(
            f"{SAME_FAILURES} trials in a row failed: {last[-1].reason}",
            fix="Narrow the space, or fix the recipe.",
        )
