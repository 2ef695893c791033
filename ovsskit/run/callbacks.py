"""Define what a run reports while it goes on, to the command line and to other programs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from ovsskit.engine.notices import TakesNotice
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.output.records import Records


@dataclass(frozen=True)
class Summary:
    """Sum up a run: folder, gallery, states of the images, costs, mean IoU, and what was left out.

    The mean IoU is known where there is truth.
    `done_now` counts the images that this command worked on; the others were done before.
    """

    out: Path
    gallery: Path
    records: Records
    done_now: int
    costs: Costs
    score: float | None
    left_out: str = ""


@runtime_checkable
class Callbacks(TakesNotice, Protocol):
    """Receive the progress of a run."""

    def begin(self, total: int) -> None:
        """Receive the number of images to do."""

    def phase(self, doing: str) -> AbstractContextManager[None]:
        """Receive what is done beside the images, such as reading a model, while it goes on."""

    def tell(self, record: ImageRecord) -> None:
        """Receive a finished image."""

    def tell_window(self, record: ImageRecord, done: int, total: int) -> None:
        """Receive how many windows of a raster are done, and how many there are."""

    def end(self, summary: Summary) -> None:
        """Receive the sum of the run at its end."""
