"""Define what an evaluation reports while it goes on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ovsskit.engine.notices import TakesNotice
from ovsskit.eval.counts import ImageCounts


@runtime_checkable
class EvalCallbacks(TakesNotice, Protocol):
    """Receive the progress of an evaluation."""

    def begin(self, total: int) -> None:
        """Receive the number of images to do."""

    def phase(self, doing: str) -> AbstractContextManager[None]:
        """Receive what is done beside the images, such as reading a model, while it goes on."""

    def tell(self, counts: ImageCounts, miou: float) -> None:
        """Receive what was counted of an image, and the mean IoU so far, from 0 to 1."""

    def end(self, folder: Path, record: dict[str, Any]) -> None:
        """Receive the folder and the record at the end."""
