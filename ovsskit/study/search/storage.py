"""Where the trials of a study are kept, for any number of workers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

WORKER = "worker"
"""The attribute of a trial that says which worker has it."""


@runtime_checkable
class TrialStorage(Protocol):
    """Keep trials, for any number of workers."""

    trials: BaseStorage
    shared: bool

    def lock(self) -> Any:
        """Return a context in which one worker alone hands out trials."""

    def begin(self, trial: optuna.Trial) -> None:
        """Note that this worker has a trial now."""

    def dead(self, study: optuna.Study) -> list[FrozenTrial]:
        """Return running trials whose worker is no more; to be asked with the lock held."""

    def close(self) -> None:
        """Release what this worker holds."""
