"""Keep the trials of a study in a journal on one machine, or on a PostgreSQL server.

Both know which running trials have lost their worker: in a journal's folder every worker holds a
lock that dies with it, and on a server it gives signs of life.
"""

from __future__ import annotations

from pathlib import Path

from ovsskit.study.search.journal import Journal
from ovsskit.study.search.server import Server
from ovsskit.study.search.storage import TrialStorage


def open_storage(url: str, folder: Path, heartbeat: int, study: str) -> TrialStorage:
    """Return the storage that a person named, or the journal in the study's folder.

    Raises:
        BadStorage, BadOutput, MissingExtra: it cannot be used.
    """
    return Server(url, heartbeat, study) if url else Journal(folder)
