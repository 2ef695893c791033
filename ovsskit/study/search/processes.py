"""Workers in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any

from ovsskit._lazy import torch
from ovsskit.recipe.registry import load_plugin
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.queue import TrialQueue
from ovsskit.study.search.workers import Place, work
from ovsskit.study.spec.plan import StudyPlan


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
