"""Pass the package's messages on to whoever shows them to a person."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class TakesNotice(Protocol):
    """Hear what a person should know."""

    def notice(self, text: str) -> None:
        """Receive something that the person should know."""


class Silent:
    """Hear whatever goes on, and say nothing: the callbacks of those who want none."""

    @property
    def teacher(self) -> Silent:
        """Return what passes over the run of a teacher."""
        return self

    def begin(self, *what: Any) -> None:
        """Pass over the beginning."""

    def tell(self, *what: Any) -> None:
        """Pass over what is done."""

    def tell_window(self, *what: Any) -> None:
        """Pass over what is done of a raster."""

    def phase(self, doing: str) -> AbstractContextManager[None]:
        """Pass over what is done before."""
        return nullcontext()

    def notice(self, text: str) -> None:
        """Pass over what the person should know."""

    def end(self, *what: Any) -> None:
        """Pass over the end."""


class Notices(logging.Handler):
    """Pass on each message of the package once, and keep it."""

    def __init__(self, callbacks: TakesNotice) -> None:
        super().__init__(logging.INFO)
        self.callbacks, self.seen = callbacks, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a message."""
        text = record.getMessage()
        if text not in self.seen:
            self.seen.append(text)
            self.callbacks.notice(text)


@contextmanager
def hearing(callbacks: TakesNotice) -> Iterator[Notices]:
    """Let callbacks hear the messages of the package as long as something goes on."""
    notices, log = Notices(callbacks), logging.getLogger("ovsskit")
    log.addHandler(notices)
    log.setLevel(logging.INFO)
    try:
        yield notices
    finally:
        log.removeHandler(notices)
