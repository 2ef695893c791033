"""The folder in which the package keeps what it would otherwise compute again in every run.

Nothing in it is needed: it may be removed at any time. `OVSSKIT_CACHE` names another folder.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import platformdirs

from ovsskit.files.writing import PART

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return the package's folder among the user's caches; it may not exist yet."""
    named = os.environ.get("OVSSKIT_CACHE")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_cache_path("ovsskit", appauthor=False)


def read_entry(name: str) -> str:
    """Return the text that is kept under a name, or an empty one if it cannot be read."""
    try:
        return (cache_folder() / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def keep_entry(name: str, text: str) -> None:
    """Keep a text under a name; other processes see it whole or not at all."""
    path = cache_folder() / name
    part = path.with_name(f".{uuid4().hex}{PART}")  # of its own: others may write the same entry
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        log.debug("%s cannot be kept: %s", path, error)
