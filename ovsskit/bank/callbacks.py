"""What hears of a build: its progress, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from ovsskit.engine.notices import TakesNotice


@runtime_checkable
class BankCallbacks(TakesNotice, Protocol):
    """Receive the progress of a build."""

    def begin(self, doing: str, total: int) -> None:
        """Receive what begins, and how many steps it has."""

    def tell(self, done: int) -> None:
        """Receive that some steps are done."""

    def end(self, path: Path, summary: Mapping[str, str], use: str) -> None:
        """Receive the finished bank: what it holds in words, and the setting that names it."""
