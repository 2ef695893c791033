"""Trials on a PostgreSQL server, to which every worker gives signs of life."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from ovsskit.errors import BadStorage, MissingExtra, Place
from ovsskit.study.search.storage import WORKER

DRIVER = "postgresql+psycopg"


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
            what = "This is not the address of a storage."
            raise BadStorage(what, fix=fix, where=where) from None
        if url.partition("//")[2].partition("/")[0].count("@") > 1:
            what = (
                "The address has more than one @, so nothing separates the host from the password."
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
