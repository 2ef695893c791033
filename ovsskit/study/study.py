"""One `ovsskit study`: find all that is wrong, judge the unchanged recipe, search, and report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ovsskit._lazy import torch
from ovsskit.engine.devices import choose_batch, choose_device, free_memory_of
from ovsskit.engine.identity import identify, identify_rendering
from ovsskit.engine.notices import Notices, TakesNotice, hearing
from ovsskit.engine.objections import check_inputs
from ovsskit.errors import BadStudy
from ovsskit.files.decoding import adopt_warnings
from ovsskit.files.digests import digest_path, digest_texts
from ovsskit.files.writing import cannot_write
from ovsskit.run.options import HERE, RAY, see_engine
from ovsskit.run.ray_cluster import cluster
from ovsskit.study.folder import StudyFolder
from ovsskit.study.search import workers as working
from ovsskit.study.search.crew import Crew, work_in_crew
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.finals import Finals
from ovsskit.study.search.given import reference_plan
from ovsskit.study.search.memory import PeakMemory
from ovsskit.study.search.processes import Processes
from ovsskit.study.search.queue import DEFAULT, TrialQueue
from ovsskit.study.search.ray_workers import RayWorkers
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trial_result import describe
from ovsskit.study.search.trials import Row, read_rows
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.plan import StudyPlan, make_plan
from ovsskit.study.spec.search import starting_values

OUT = Path("ovsskit-studies")
GIGABYTE = 1 << 30


@runtime_checkable
class StudyCallbacks(TakesNotice, Protocol):
    """Hear how a study goes."""

    def begin(self, state: StudyState) -> None:
        """Receive the state when the search is planned."""

    def phase(self, doing: str) -> AbstractContextManager[None]:
        """Receive what is done beside the trials, such as judging the best, while it goes on."""

    def tell(self, state: StudyState, new: Sequence[Row]) -> None:
        """Receive the trials that have ended."""

    def end(self, state: StudyState) -> None:
        """Receive the state when the study has ended."""


def search(
    options: StudyOptions,
    callbacks: StudyCallbacks,
    memory_gigabytes: float = 1.0,
    disk_gigabytes: float = 10.0,
) -> StudyState:
    """Run the search, tell callbacks how it goes, and return the result.

    Raises:
        OvsskitError: something is wrong with the study, its images, its folder or its storage, or
            every trial fails.
    """
    adopt_warnings()
    with hearing(callbacks) as notices:
        return _search(options, callbacks, notices, memory_gigabytes, disk_gigabytes)


def _search(
    options: StudyOptions,
    callbacks: StudyCallbacks,
    notices: Notices,
    memory_gigabytes: float,
    disk_gigabytes: float,
) -> StudyState:
    see_engine(options.engine)
    plan = make_plan(options)
    devices = _devices(options)
    batch = choose_batch(options.batch, devices[0])
    _see_memory(plan, devices[0])
    plans = [plan.search.candidate({}, plan.search.goals).plan]
    if plan.search.reference is not None:
        plans.append(reference_plan(plan))
    for one in plans:
        for model in one.models.values():
            model.check_vocabulary(plan.vocabulary)
        check_inputs(one.stages, plan.vocabulary, plan.images)
    out = options.out or OUT / plan.search.title
    folder = StudyFolder(out, plan.search.title)
    place = working.Place(
        out,
        options.storage,
        int(memory_gigabytes * GIGABYTE),
        int(disk_gigabytes * GIGABYTE),
        options.plugins,
    )
    try:
        trial_storage = place.trial_storage(plan)
        try:
            queue = TrialQueue(plan.search, trial_storage, identify_study(plan))
            return _Job(
                plan,
                folder,
                place,
                queue,
                callbacks,
                devices,
                batch,
                notices,
                options.engine,
                options.workers,
            ).run()
        finally:
            trial_storage.close()
    except OSError as error:  # such as of the journal, which Optuna writes
        raise cannot_write(error, out) from error
    finally:
        folder.close()


@dataclass
class _Job:
    """Hold a study that nothing known stands against."""

    plan: StudyPlan
    folder: StudyFolder
    place: working.Place
    queue: TrialQueue
    callbacks: StudyCallbacks
    devices: list[str]
    batch: int
    notices: Notices
    engine: str
    workers: int | None

    def run(self) -> StudyState:
        self.state = StudyState(self.plan, self.queue.count, self.place.folder)
        self.state.notices = self.notices.seen
        self.state.start = starting_values(self.plan.search)
        evaluator = Evaluator(self.plan, self.devices[0], self.batch, self.place.store())
        evaluator.see_reference()
        self.state.default = self._judge_default(evaluator)
        self.state.rows = read_rows(self.queue.study, self.plan.search)
        self.callbacks.begin(self.state)
        if len(self.devices) == 1 and self.engine == HERE:
            working.work(self.queue, self.plan, evaluator, self._poll)
        else:
            del evaluator
            free_memory_of(self.devices[0])
            self._work_elsewhere()
            evaluator = Evaluator(self.plan, self.devices[0], self.batch, self.place.store())
        self._poll()
        if self._is_to_prove():
            with self.callbacks.phase("finalists on all images"):
                self.state.acceptance = Finals(self.state, evaluator, self.queue.study).decide()
        self._publish(evaluator)
        self.callbacks.end(self.state)
        return self.state

    def _work_elsewhere(self) -> None:
        given = self.plan, self.place, self.queue.study.user_attrs["identity"]
        if self.engine == HERE:
            crew: Crew = Processes(*given, self.devices, self.batch)
            work_in_crew(crew, self.queue.finished, self._poll)
            return
        with cluster() as ray:
            crew = RayWorkers(ray, *given, self.workers, self.batch)
            work_in_crew(crew, self.queue.finished, self._poll)

    def _is_to_prove(self) -> bool:
        """Say whether the best trial, if there is one, has to be proved better."""
        search = self.plan.search
        proves = search.settings.accept == "proved" and not search.objectives[0].is_cost
        return proves and self.state.best is not None

    def _judge_default(self, evaluator: Evaluator) -> dict[str, Any]:
        """Judge the unchanged recipe, once for a study."""
        known: dict[str, Any] | None = self.queue.study.user_attrs.get(DEFAULT)
        if known is None:
            known = describe(evaluator.judge({}, self.plan.searched))
            self.queue.study.set_user_attr(DEFAULT, known)
        return known

    def _poll(self) -> int:
        """Tell of trials that ended since the last time; return how many have."""
        rows = read_rows(self.queue.study, self.plan.search)
        known = {row.number for row in self.state.rows}
        new = [row for row in rows if row.number not in known]
        self.state.rows = rows
        if new:
            self.callbacks.tell(self.state, new)
            working.see_failures(rows)
        return len(rows)

    def _publish(self, evaluator: Evaluator) -> None:
        """Write the trials, the best recipe and the report."""
        from ovsskit.study.report.best import best_texts
        from ovsskit.study.report.report import report_texts

        texts = {"trials.json": trials_text(self.state)}
        if self.state.best is not None:
            texts |= best_texts(self.state)
        self.folder.publish(texts)
        report = report_texts(self.state, evaluator, self.queue.study)
        self.folder.publish(report)
        self.folder.retire([*texts, *report])


def trials_text(state: StudyState) -> str:
    """Return what `trials.json` holds, from which studies are compared."""
    search = state.plan.search
    content = {
        "study": search.title,
        "sampler": search.settings.sampler,
        "seed": search.settings.seed,
        "objectives": [{"name": one.name, "direction": one.direction} for one in search.objectives],
        "default": state.default,
        "acceptance": None if state.acceptance is None else state.acceptance.plain(),
        "notices": state.notices,
        "trials": [row.plain() for row in state.rows],
    }
    return f"{json.dumps(content, indent=1, ensure_ascii=False)}\n"


def identify_study(plan: StudyPlan) -> dict[str, Any]:
    """Return what makes two studies the same, as plain JSON values."""
    search, settings = plan.search, plan.search.settings
    recipe = search.candidate({}, search.goals)
    images = hashlib.sha256()
    for path in plan.images:
        images.update(hashlib.sha256(path.read_bytes()).digest())
    method = {
        key: getattr(settings, key)
        for key in ("sampler", "pruner", "seed", "as_it_is", "groups", "split", "hold_back")
    }
    if settings.groups > 1 or settings.sampler == "annealing":
        method["trials"] = settings.trials  # it decides what a turn tries
    identity = {
        **identify(replace(recipe.plan, vocabulary=plan.vocabulary)),
        **identify_rendering(plan.reading.rendering),
        "space": {one.address: str(one) for one in search.space},
        "objectives": {one.name: one.direction for one in search.objectives},
        "constraints": search.constraints.model_dump(),
        "method": method,
        "images": f"{len(plan.images)}, {images.hexdigest()[:16]}",
    }
    if search.reference is not None:
        identity["reference"] = identify(reference_plan(plan))
    if plan.truth is not None:
        masks = [digest_path(plan.truth.masks[path]) for path in plan.images]
        identity["masks"] = f"{len(masks)}, {digest_texts(masks)[:16]}"
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def _devices(options: StudyOptions) -> list[str]:
    """Return the device of every worker here: GPU after GPU, unless one is named."""
    first = choose_device(options.device)
    if options.engine == RAY:
        return [first]
    workers = options.workers or 1
    if first.startswith("cuda") and options.device in ("auto", "cuda"):
        return [f"cuda:{index % torch.cuda.device_count()}" for index in range(workers)]
    return [first] * workers


def _see_memory(plan: StudyPlan, device: str) -> None:
    wanted = plan.search.constraints.peak_megabytes is not None or any(
        one.metric == "megabytes" for one in plan.search.objectives
    )
    if wanted and PeakMemory.start(device) is None:
        raise BadStudy(
            "This system does not report how much memory a trial needs.",
            fix="Linux and NVIDIA GPUs do.",
        )
