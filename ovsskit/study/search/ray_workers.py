"""Workers of a study on a Ray cluster, which share the storage of its trials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ovsskit.run.ray_cluster import places_of, reason_in
from ovsskit.study.search.processes import run_worker
from ovsskit.study.search.workers import Place
from ovsskit.study.spec.plan import StudyPlan


class RayWorkers:
    """Workers as tasks of a Ray cluster, each with a GPU where it has some, else a processor.

    There are `size` of them, or as many as the cluster has room for.
    """

    advice = "Run it with --workers 1, and without --engine ray, to see why."

    def __init__(
        self,
        ray: Any,
        plan: StudyPlan,
        place: Place,
        identity: Mapping[str, Any],
        size: int | None,
        batch: int,
    ) -> None:
        room, device = places_of(ray)
        self.ray, self.size = ray, size or room
        plugins = tuple(path.absolute() for path in place.plugins)
        place = replace(place, folder=place.folder.absolute(), plugins=plugins)
        self._given = (Path.cwd(), plan, place, dict(identity), device, batch)
        gpus = 0 if device == "cpu" else 1
        self._task = ray.remote(work_at).options(num_cpus=1, num_gpus=gpus, max_retries=0)
        self._workers: dict[int, Any] = {}

    def start(self, number: int) -> None:
        """Start a worker, or another in the place of one that has ended."""
        self._workers[number] = self._task.remote(*self._given)

    def wait(self, seconds: float) -> None:
        """Wait until one has ended, or for so long."""
        self.ray.wait([*self._workers.values()], timeout=seconds)

    def end_of(self, number: int) -> str | None:
        """Return how a worker has ended; None if it is at work."""
        worker = self._workers[number]
        if not self.ray.wait([worker], timeout=0)[0]:
            return None
        try:
            self.ray.get(worker)
        except (self.ray.exceptions.RayError, self.ray.exceptions.RayTaskError) as error:
            return f"because of this: {reason_in(error)}"
        return "by itself"

    def close(self, patience: float) -> None:
        """Let workers end by themselves for so many seconds, then end them."""
        workers = [*self._workers.values()]
        if not workers:
            return
        for worker in self.ray.wait(workers, num_returns=len(workers), timeout=patience)[1]:
            self.ray.cancel(worker, force=True)


def work_at(
    home: Path,
    plan: StudyPlan,
    place: Place,
    identity: Mapping[str, Any],
    device: str,
    batch: int,
) -> None:
    """Take turns as a task of Ray, in the folder where the study was started."""
    os.chdir(home)
    run_worker(plan, place, identity, device, batch, threads=1)
