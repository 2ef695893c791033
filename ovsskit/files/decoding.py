"""Hear what decoders of images say beside the image, so that it becomes a note with the file's name."""

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
    """Let what Pillow warns of while an image is read become a note of ours; a program calls this once."""
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
    """Collect what decoders say of a file while it is read; when it could be read, note it with the file's name."""
    heard: list[str] = []
    _thread.heard = heard
    try:
        yield heard
    finally:
        _thread.heard = None
    said = list(dict.fromkeys(heard))
    if said:
        more = f" (and {len(said) - 1} more)" if said[1:] else ""
        log.warning("%s was read, but not everything in it is sound: %s%s", name, said[0], more)


@contextmanager
def hear_libtiff(heard: list[str]) -> Iterator[None]:
    """Collect what libtiff prints to standard error, where Python's own does not use the same descriptor."""
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
