"""What a run tells while it goes on, and who may listen: the command line does, other programs can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from ovsskit.engine.notices import TakesNotice
from ovsskit.run.output.record import Costs, ImageRecord


@dataclass(frozen=True)
class Summary:
    """Sum up a run: folder and gallery, what became of the images, costs, and the mean IoU where there is truth.

    `done_now` counts the images that this command worked on; the others were done before.
    """

    out: Path
    gallery: Path
    records: Sequence[ImageRecord]
    done_now: int
    costs: Costs
    score: float | None


@runtime_checkable
class Callbacks(TakesNotice, Protocol):
    """Hear how a run goes."""

    def begin(self, total: int) -> None:
        """Take note of how many images there are to do."""

    def tell(self, record: ImageRecord) -> None:
        """Take note of a finished image."""

    def end(self, summary: Summary) -> None:
        """Take note of how the run ended."""
