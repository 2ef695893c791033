"""What a person asked `ovsskit export` for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.shard import WHOLE, Shard

Images: TypeAlias = Literal["", "copy", "link"]
"""What is done with the images themselves: nothing, copies, or links."""

OUT = Path("ovsskit-export")


@dataclass(frozen=True)
class ExportOptions:
    """Hold the folder of a finished run, the format, and what of the run is exported.

    `min_confidence` is in the unit of the saved confidences; pixels below it become background.
    Outlines may deviate by about `simplify` pixels. Of a `shard` only the images of its part are
    written; the last one to end writes the files of the whole.
    """

    run: Path
    format: str
    out: Path | None = None
    classes: str | None = None
    min_confidence: float | None = None
    images: Images = ""
    simplify: float = 0.0
    max_pixels: int = MAX_PIXELS
    shard: Shard = WHOLE

    @property
    def folder(self) -> Path:
        """Return the folder that is written."""
        return self.out or OUT / f"{self.run.resolve().name}-{self.format}"
