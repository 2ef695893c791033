"""Keep the trials of a study: in a journal file on one machine, or on a PostgreSQL server.

Both tell which running trials no worker works on any more: in a journal's folder every worker holds
a lock that dies with it, and on a server it gives signs of life.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote
from uuid import uuid4

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, fail_stale_trials
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from ovsskit.errors import BadStorage, MissingExtra, Place
from ovsskit.files.writing import make_folder, write_whole

JOURNAL = "study.journal"
WORKER = "worker"
"""The attribute of a trial that says which worker has it."""

WORKER_NAME = re.compile("[0-9a-f]{32}")

log = logging.getLogger(__name__)

DRIVER = "postgresql+psycopg"


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


class Server:
    """Keep trials on a PostgreSQL server, for workers on any machine."""

    shared = True

    def __init__(self, url: str, heartbeat: int, study: str) -> None:
        """Open the storage for the study of this name.

        Raises:
            BadStorage: it is not PostgreSQL, or it cannot be reached.
            MissingExtra: the driver is not installed.
        """
        import sqlalchemy

        where = Place("--storage")
        fix = (
            "Give postgresql://user@host:port/database, or leave it out: then the study's folder "
            "keeps the trials."
        )
        try:
            address = sqlalchemy.make_url(url)
        except (sqlalchemy.exc.ArgumentError, ValueError):
            # not `from` the error, whose text may hold the password
            raise BadStorage("This is not an address of a storage.", fix=fix, where=where) from None
        if url.partition("//")[2].partition("/")[0].count("@") > 1:
            what = (
                "The address has more than one @, so that the host cannot be told from the "
                "password."
            )
            raise BadStorage(what, fix="Write an @ of the password as %40.", where=where)
        shown = address.set(query={}).render_as_string(hide_password=True)
        if address.get_backend_name() not in ("postgresql", "postgres"):
            raise BadStorage(f"`{shown}` is not a PostgreSQL server.", fix=fix, where=where)
        full = address.set(drivername=DRIVER).render_as_string(hide_password=False)
        try:
            with _alone_at(full), warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._storage = RDBStorage(
                    full,
                    engine_kwargs={"pool_pre_ping": True},
                    heartbeat_interval=heartbeat,
                    grace_period=3 * heartbeat,
                )
        except ImportError as error:
            raise MissingExtra(
                "A PostgreSQL storage needs psycopg.",
                fix='pip install "ovsskit[study]".',
                where=where,
            ) from error
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            reason = str(error.__cause__ or error).splitlines()[0].replace(full, shown)
            for secret in _secrets(address):
                reason = reason.replace(secret, "***")
            what = f"The storage `{shown}` cannot be reached: {reason}"
            raise BadStorage(
                what, fix="Check that the server runs and lets you in.", where=where
            ) from error
        except RuntimeError as error:  # tables of another version of Optuna
            raise BadStorage(
                f"The storage `{shown}` cannot be used: {error}", where=where
            ) from error
        self.trials: BaseStorage = self._storage
        self.name, self._key = uuid4().hex, zlib.crc32(study.encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other workers from handing out trials; the server frees a dead worker's lock."""
        from sqlalchemy import text

        with self._storage.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self._key})
            yield

    def begin(self, trial: optuna.Trial) -> None:
        """Note that this worker has a trial now, and give the first sign of life at once."""
        self._storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(WORKER, self.name)

    def dead(self, study: optuna.Study) -> list[FrozenTrial]:
        """Fail running trials without a recent sign of life, and return them.

        Trials whose worker died while taking them are among these.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(study)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in running if WORKER not in trial.user_attrs]

    def close(self) -> None:
        """Close the connections."""
        self._storage.remove_session()
        self._storage.engine.dispose()


def _secrets(address: Any) -> list[str]:
    """Return the secret parts of an address: its password, and all after the question mark."""
    query = [one for values in address.normalized_query.values() for one in values]
    secrets = [one for one in [address.password, *query] if one]
    return [*secrets, *(quote(one, safe="") for one in secrets)]


@contextmanager
def _alone_at(address: str) -> Iterator[None]:
    """Keep others from opening the database at the same time.

    Optuna creates its tables there, and two processes at once would collide.
    """
    import sqlalchemy

    engine = sqlalchemy.create_engine(address)
    try:
        with engine.begin() as connection:
            connection.execute(
                sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"),
                {"key": zlib.crc32(b"ovsskit tables")},
            )
            yield
    finally:
        engine.dispose()


def open_storage(url: str, folder: Path, heartbeat: int, study: str) -> TrialStorage:
    """Return the storage that a person named, or the journal in the study's folder.

    Raises:
        BadStorage, BadOutput, MissingExtra: it cannot be used.
    """
    return Server(url, heartbeat, study) if url else Journal(folder)
