"""Work on a study: take turns until none is left, here or in processes of their own."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import optuna

from ovsskit._lazy import torch
from ovsskit.engine.store import Store
from ovsskit.errors import StudyFailed, reason_of
from ovsskit.recipe.registry import load_plugin
from ovsskit.study.search.evaluate import Evaluator, Report, TrialResult
from ovsskit.study.search.queue import DEFAULT, ERROR, PAUSE, RESULT, Failed, TrialQueue
from ovsskit.study.search.samplers import TURN, is_left, rungs
from ovsskit.study.search.storage import TrialStorage, open_storage
from ovsskit.study.search.trials import Row
from ovsskit.study.spec.plan import StudyPlan

SAME_FAILURES = 5
"""The study stops after this many failed trials in a row: then the study itself is wrong."""

FAREWELL = 10.0
"""Seconds that workers get to end by themselves."""


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


def order_of(plan: StudyPlan, turn: int) -> list[int]:
    """Return the shuffled order of a trial's images, another in each trial."""
    order = list(plan.searched)
    random.Random(f"{plan.search.settings.seed} {turn}").shuffle(order)
    return order


def judge_trial(
    plan: StudyPlan,
    evaluator: Evaluator,
    queue: TrialQueue,
    trial: optuna.Trial,
    values: Mapping[str, Any],
) -> list[float]:
    """Judge the candidate of a trial, unless an equal one has been judged, and note the result.

    Raises:
        Failed: it cannot be run; the reason is noted.
    """
    order, report = order_of(plan, trial.user_attrs[TURN]), _reports(plan, trial)
    try:
        known = queue.known(trial)
        result = (
            evaluator.judge(values, order, report)
            if known is None
            else _again(*known, order, report)
        )
    except (
        Exception
    ) as error:  # stages may be anybody's, and one candidate's failure shall not stop the study
        trial.set_user_attr(ERROR, reason_of(error))
        raise Failed from error
    trial.set_user_attr(RESULT, describe(result))
    limits = plan.search.constraints
    if limits.seconds_per_image is not None:
        trial.set_constraint("seconds_per_image", result.seconds - limits.seconds_per_image)
    if limits.peak_megabytes is not None and result.megabytes is not None:
        trial.set_constraint("peak_megabytes", result.megabytes - limits.peak_megabytes)
    if not result.whole:
        raise optuna.TrialPruned
    return result.values


def _again(
    known: Mapping[str, Any], whole: bool, order: Sequence[int], report: Report | None
) -> TrialResult:
    """Return the result of an equal candidate, such as the unchanged recipe, for a trial."""
    images = by_index(known["images"])
    if report is not None:
        for index in filter(images.__contains__, order):
            report(index, images[index])
    counts = {"calls": 0, "saved": known["calls"] + known["saved"]}
    counts |= {"judge_calls": 0, "judge_saved": known["judge_calls"] + known["judge_saved"]}
    return TrialResult(**{**known, **counts, "images": images}, whole=whole)


def by_index(found: Mapping[str, float]) -> dict[int, float]:
    """Return what images gave, as JSON holds it, by the images' indices."""
    return {int(index): value for index, value in found.items()}


def in_json(found: Mapping[int, float]) -> dict[str, float]:
    """Return what images gave as JSON holds it, in the order of the indices."""
    return {str(index): value for index, value in sorted(found.items())}


def _reports(plan: StudyPlan, trial: optuna.Trial) -> Report | None:
    """Return what receives single images and asks the pruner, if any."""
    pruner = plan.search.settings.pruner
    if pruner == "none":
        return None
    if pruner == "wilcoxon":
        return ImageReports(trial)
    before = by_index(trial.study.user_attrs[DEFAULT]["images"])
    return GainReports(trial, before, rungs(len(before)))


@dataclass
class ImageReports:
    """Report image by image, as Wilcoxon compares; an image without any class says nothing."""

    trial: optuna.Trial

    def __call__(self, index: int, value: float) -> bool:
        """Hear what an image gave; say whether the trial is left."""
        if math.isnan(value):
            return False
        self.trial.report(value, index)
        return self.trial.should_prune()

    def is_hopeless(self, most: Mapping[int, float]) -> bool:
        """Say no: a test looks at values, and not at what they are at most."""
        return False


@dataclass
class GainReports:
    """Report means over few images, others in each trial, as halving compares.

    They are of what is better there than with the unchanged recipe, since images differ more than
    candidates do. Optuna is asked after the images that `steps` counts alone, for a report waits
    for the disk.
    """

    trial: optuna.Trial
    before: Mapping[int, float]
    steps: Sequence[int]
    gains: list[float] = field(default_factory=list)

    def __call__(self, index: int, value: float) -> bool:
        """Hear what an image gave; say whether the trial is left."""
        gains = self._gains({index: value})
        self.gains += gains
        if not gains or len(self.gains) not in self.steps:
            return False
        self.trial.report(sum(self.gains) / len(self.gains), len(self.gains))
        return self.trial.should_prune()

    def is_hopeless(self, most: Mapping[int, float]) -> bool:
        """Say whether the trial is left if the next images give their most; report it if so."""
        more = self._gains(most)
        gains = [*self.gains, *more]
        if not more or len(gains) not in self.steps or not self._is_left(gains):
            return False
        self.trial.report(sum(gains) / len(gains), len(gains))
        return True

    def _is_left(self, gains: Sequence[float]) -> bool:
        mean, turn = sum(gains) / len(gains), self.trial.user_attrs[TURN]
        return is_left(self.trial.study, turn, len(gains), mean)

    def _gains(self, found: Mapping[int, float]) -> list[float]:
        """Return the gains of images; those without any class say nothing."""
        gains = (value - self.before[index] for index, value in found.items())
        return [gain for gain in gains if not math.isnan(gain)]


def describe(result: TrialResult) -> dict[str, Any]:
    """Return a trial's result as plain JSON values."""
    return {
        "values": result.values,
        "images": in_json(result.images),
        "seconds": result.seconds,
        "megabytes": result.megabytes,
        "calls": result.calls,
        "saved": result.saved,
        "judge_calls": result.judge_calls,
        "judge_saved": result.judge_saved,
    }


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
            fix="Narrow the space, or mend the recipe.",
        )


@runtime_checkable
class Crew(Protocol):
    """Hold workers in processes of their own, numbered from 0 to `size` - 1."""

    size: int
    advice: str

    def start(self, number: int) -> None:
        """Start a worker, or another in the place of one that has ended."""

    def wait(self, seconds: float) -> None:
        """Wait until one has ended, or for so long."""

    def end_of(self, number: int) -> str | None:
        """Return how a worker has ended; None if it is at work."""

    def close(self, patience: float) -> None:
        """Let workers end by themselves for so many seconds, then end them."""


def work_in_crew(crew: Crew, finished: Callable[[], bool], after: Callable[[], int]) -> None:
    """Let workers take turns until the study is finished; the dead are replaced.

    `after` is called now and then, and returns how many turns are done.

    Raises:
        StudyFailed: workers die again and again, and nothing gets done.
    """
    numbers = range(crew.size)
    deaths, done = 0, after()
    try:
        for number in numbers:
            crew.start(number)
        while not finished():
            crew.wait(PAUSE)
            now = after()
            deaths, done = (0, now) if now > done else (deaths, done)
            for number in numbers:
                end = crew.end_of(number)
                if end is not None and not finished():
                    deaths += 1
                    if deaths > 3 * crew.size:
                        what = f"Workers die before they finish a trial, the last {end}."
                        raise StudyFailed(what, fix=crew.advice)
                    crew.start(number)
    finally:
        crew.close(FAREWELL if finished() else 0)


class Processes:
    """Workers in processes of this machine, one for each device."""

    advice = "Run it with --workers 1 to see why."

    def __init__(
        self,
        plan: StudyPlan,
        place: Place,
        identity: Mapping[str, Any],
        devices: Sequence[str],
        batch: int,
    ) -> None:
        self.size, self.devices = len(devices), devices
        self._given, self._batch = (plan, place, identity), batch
        self._workers: dict[int, Any] = {}

    def start(self, number: int) -> None:
        """Start a worker, or another in the place of one that has ended."""
        threads = max(1, (os.cpu_count() or 1) // self.size)
        given = (*self._given, self.devices[number], self._batch, threads)
        context = multiprocessing.get_context("spawn")
        self._workers[number] = context.Process(target=run_worker, args=given, daemon=True)
        self._workers[number].start()

    def wait(self, seconds: float) -> None:
        """Wait until one has ended, or for so long."""
        wait([worker.sentinel for worker in self._workers.values()], timeout=seconds)

    def end_of(self, number: int) -> str | None:
        """Return how a worker has ended; None if it is at work."""
        worker = self._workers[number]
        return None if worker.is_alive() else f"with exit status {worker.exitcode}"

    def close(self, patience: float) -> None:
        """Let workers end by themselves for so many seconds, then end them."""
        for worker in self._workers.values():
            worker.join(patience)
            worker.kill()


def run_worker(
    plan: StudyPlan,
    place: Place,
    identity: Mapping[str, Any],
    device: str,
    batch: int,
    threads: int,
) -> None:
    """Take turns in its own process, which ends with the process that started it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    for path in place.plugins:
        load_plugin(path)
    if device == "cpu":
        torch.set_num_threads(threads)
    trial_storage = place.trial_storage(plan)
    try:
        queue = TrialQueue(plan.search, trial_storage, identity)
        work(queue, plan, Evaluator(plan, device, batch, place.store()), lambda: None)
    except KeyboardInterrupt:
        return
    finally:
        trial_storage.close()


def _end_with(sentinel: int) -> None:
    """End this process when the other one ends, however it does; its trial is tried again."""
    wait([sentinel])
    os._exit(1)
