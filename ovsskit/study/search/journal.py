"""Trials in a file of the study's folder; every worker holds a lock there that dies with it."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from ovsskit.errors import BadStorage, Place
from ovsskit.files.writing import make_folder, write_whole
from ovsskit.study.search.storage import WORKER

log = logging.getLogger(__name__)

JOURNAL = "study.journal"

WORKER_NAME = re.compile("[0-9a-f]{32}")


class Journal:
    """Keep trials in a file of the study's folder, for workers on this machine."""

    shared = False

    def __init__(self, folder: Path) -> None:
        """Open the journal, or begin one.

        Raises:
            BadOutput: the folder cannot be written.
            BadStorage: the file is not a journal.
        """
        make_folder(folder / "workers")
        self.folder, self.name = folder, uuid4().hex
        self._alive = FileLock(folder / "workers" / f"{self.name}.lock")
        self._alive.acquire()
        path = folder / JOURNAL
        turn = FileLock(folder / "journal.lock")
        with turn:
            _repair(path)
        try:
            backend = JournalFileBackend(str(path), lock_obj=Dying(turn))  # type: ignore[arg-type]
            self.trials: BaseStorage = JournalStorage(backend)
        except (ValueError, KeyError, TypeError) as error:
            what = f"The file is not a journal of a study: {error}"
            raise BadStorage(
                what, fix="Name another folder with --out, or remove it.", where=Place(str(path))
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other workers from handing out trials."""
        with FileLock(self.folder / "turns.lock"):
            yield

    def begin(self, trial: optuna.Trial) -> None:
        """Note that this worker has a trial now."""
        trial.set_user_attr(WORKER, self.name)

    def dead(self, study: optuna.Study) -> list[FrozenTrial]:
        """Return running trials whose worker holds its lock no more."""
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in running if not self._lives(trial.user_attrs.get(WORKER))]

    def close(self) -> None:
        """Release this worker's lock and remove the locks of ended workers."""
        self._alive.release()
        for path in (self.folder / "workers").glob("*.lock"):
            if WORKER_NAME.fullmatch(path.stem) and not self._lives(path.stem):
                path.unlink(missing_ok=True)

    def _lives(self, worker: str | None) -> bool:
        """Say whether a worker is alive; one that died while it took a trial left no name."""
        if worker is None:
            return False
        if worker == self.name:
            return self._alive.is_locked
        path = self.folder / "workers" / f"{worker}.lock"
        if not path.exists():
            return False
        try:
            with FileLock(path).acquire(blocking=False):
                return False
        except Timeout:
            return True


class Dying:
    """Lock Optuna's journal; the system frees the lock when its holder dies, so nobody waits."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


def _repair(path: Path) -> None:
    """Cut off what cannot be read: an unfinished last line, or all from a broken line on.

    What comes after a broken line cannot be told from other trials, so those are tried again; a
    copy of the whole is kept.
    """
    if not path.exists():
        return
    content, whole = path.read_bytes(), 0
    for line in content.splitlines(keepends=True):
        if not (line.endswith(b"\n") and _is_entry(line)):
            break
        whole += len(line)
    rest = content[whole:]
    if not rest or (
        whole == 0 and b"\n" in rest
    ):  # the latter never was a journal, and Optuna says so
        return
    if b"\n" in rest:
        copy = path.with_name(f"{path.name}.{hashlib.sha256(content).hexdigest()[:8]}.broken")
        write_whole(copy, lambda file: file.write(content))
        number = content.count(b"\n", 0, whole) + 1
        log.warning(
            (
                "%s cannot be read from line %d on; trials after it are tried again. %s holds "
                "all of it"
            ),
            path,
            number,
            copy.name,
        )
    with path.open("rb+") as file:
        file.truncate(whole)


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and isinstance(entry.get("op_code"), int)
