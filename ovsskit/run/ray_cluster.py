"""Join a Ray cluster, or start one on this machine, and see what it has."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ovsskit.datasets.extra import need

WHY = "`--engine ray`"


@contextmanager
def cluster() -> Iterator[Any]:
    """Yield Ray, joined to the cluster that RAY_ADDRESS names, else to one started here.

    Whoever has joined one before stays in it.

    Raises:
        MissingExtra: Ray is not installed.
    """
    ray = need("ray", WHY, "ray")
    joined = ray.is_initialized()
    if not joined:
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
            configure_logging=False,
        )
    try:
        yield ray
    finally:
        if not joined:
            ray.shutdown()


def places_of(ray: Any) -> tuple[int, str]:
    """Return how many workers a cluster has room for, and the device of each.

    On a cluster with GPUs each has one; else there is one for every processor.
    """
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    return (gpus, "cuda:0") if gpus else (int(resources.get("CPU", 1)), "cpu")


def reason_in(error: BaseException) -> str:
    """Return the last line of what Ray says of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
