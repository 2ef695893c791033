"""Define what an export reports while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ovsskit.engine.notices import TakesNotice


@runtime_checkable
class ExportCallbacks(TakesNotice, Protocol):
    """Receive the progress of an export."""

    def begin(self, total: int) -> None:
        """Receive the number of images."""

    def tell(self, name: str, reason: str) -> None:
        """Receive an image that is exported, or left out for a reason."""

    def end(self, folder: Path, record: dict[str, Any]) -> None:
        """Receive the folder and the record at the end."""
