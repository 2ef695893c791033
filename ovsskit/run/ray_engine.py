"""Run replicas as actors of a Ray cluster: Ray Data streams the images to them, and tries again.

Each actor holds the models once. Images are read by the actors, and their files written by these
into the output folder, which all machines must see; the records go back to the process that holds
the folder. What is done stands there: a run that was killed goes on without Ray's own checkpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ovsskit.datasets.extra import need
from ovsskit.errors import OvsskitError, ReplicasDied
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.ray_cluster import WHY, cluster, places_of, reason_in
from ovsskit.run.replica import Replica, Work

RETRIES = 3
"""How often the images of an actor that died are tried again."""
WINDOW = 1000
"""How many batches of images are handed to Ray at a time: memory is bounded by them."""

log = logging.getLogger(__name__)


class Actor:
    """Segment batches of images with models that are read once."""

    def __init__(self, work: Work) -> None:
        self._done: list[str] = []
        self._replica = Replica(work, lambda record: self._done.append(record.to_line()))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Segment images, given by their records; return what became of each."""
        self._done = []
        windows = [bool(one) for one in batch["in_windows"]]
        records = [ImageRecord.from_line(line) for line in batch["record"]]
        for kind in (False, True):
            chosen = [one for one, is_so in zip(records, windows, strict=True) if is_so == kind]
            if chosen:
                self._replica.run(chosen, in_windows=kind)
        return {"record": self._done}


@dataclass
class RayEngine:
    """Have images done by actors; `finish` is told of each, and `look` is called now and then.

    On a cluster with GPUs every actor has one; else there is an actor for every processor, or as
    many as `actors` says.
    """

    work: Work
    finish: Callable[[ImageRecord], None]
    look: Callable[[], None]
    actors: int = 0

    def run(self, whole: Sequence[ImageRecord], rasters: Sequence[ImageRecord]) -> None:
        """Have all images done.

        Raises:
            MissingExtra: Ray is not installed.
            ReplicasDied: actors die again and again.
        """
        need("ray.data", WHY, "ray")
        with cluster() as ray:
            _be_quiet(ray)
            try:
                for window in _windows(whole, rasters, WINDOW * self.work.batch):
                    self._run(ray, window)
            except (ray.exceptions.RayError, ray.exceptions.RayTaskError) as error:
                raise _explain(error) from error

    def _run(self, ray: Any, window: list[dict[str, Any]]) -> None:
        room, device = places_of(ray)
        count = max(1, min(self.actors or room, -(-len(window) // self.work.batch)))
        work = self.work.on(device)
        done = ray.data.from_items(window, override_num_blocks=min(len(window), 4 * count))
        done = done.map_batches(
            Actor,
            fn_constructor_args=(work,),
            compute=ray.data.ActorPoolStrategy(size=count),
            batch_size=self.work.batch,
            num_cpus=1,
            num_gpus=None if device == "cpu" else 1,
            ray_remote_args_fn=_retries,
        )
        for row in done.iter_rows():
            self.finish(ImageRecord.from_line(row["record"]))
            self.look()


def _retries() -> dict[str, int]:
    return {"max_restarts": RETRIES, "max_task_retries": RETRIES}


def _be_quiet(ray: Any) -> None:
    """Let Ray Data draw no progress bars, and hand out images in any order."""
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False


def _windows(
    whole: Sequence[ImageRecord], rasters: Sequence[ImageRecord], most: int
) -> Iterator[list[dict[str, Any]]]:
    window: list[dict[str, Any]] = []
    for in_windows, records in ((False, whole), (True, rasters)):
        for record in records:
            window.append({"record": record.to_line(), "in_windows": in_windows})
            if len(window) == most:
                yield window
                window = []
    if window:
        yield window


def _explain(error: Exception) -> OvsskitError:
    """Return the error of ours behind one of Ray, or one that tells what Ray says."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OvsskitError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    what = f"Ray failed: {reason_in(error)}"
    return ReplicasDied(what, fix="Run without --engine ray to see why.")
