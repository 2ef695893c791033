"""Catch what image decoders print, and turn it into a note with the file's name."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)
_alone = threading.Lock()


class _Thread(threading.local):
    heard: list[str] | None = None


_thread = _Thread()


def adopt_warnings() -> None:
    """Turn Pillow's warnings about images into our notes; a program calls this once."""
    if getattr(warnings.showwarning, "adopted", False):
        return
    plain = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *more: Any, **options: Any) -> None:
        if _thread.heard is None:
            plain(message, category, *more, **options)
        else:
            _thread.heard.append(str(message).strip())

    show.adopted = True  # type: ignore[attr-defined]
    warnings.showwarning = show
    warnings.filterwarnings("always", module=r"PIL\.")


@contextmanager
def hear_decoders(name: str) -> Iterator[list[str]]:
    """Collect what decoders print while a file is read.

    If the file could be read, this becomes a note with its name.
    """
    heard: list[str] = []
    _thread.heard = heard
    try:
        yield heard
    finally:
        _thread.heard = None
    said = list(dict.fromkeys(heard))
    if said:
        more = f" (and {len(said) - 1} more)" if said[1:] else ""
        log.warning("%s was read, but parts of it are damaged: %s%s", name, said[0], more)


@contextmanager
def hear_libtiff(heard: list[str]) -> Iterator[None]:
    """Collect what libtiff prints to standard error, if Python's own uses another descriptor."""
    try:
        shared = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        shared = True
    if shared:
        yield
        return
    with _alone, tempfile.TemporaryFile() as told:
        kept = os.dup(2)
        os.dup2(told.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            told.seek(0)
            heard += [line.decode(errors="replace").strip() for line in told if line.strip()]
