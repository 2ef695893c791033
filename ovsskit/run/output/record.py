"""Record what became of every image of a run, and what it cost, as plain data for JSON."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from ovsskit.errors import BadImage
from ovsskit.files.names import NestedName
from ovsskit.files.own.written import Files
from ovsskit.files.remote import RemotePath, stamp_of_remote
from ovsskit.files.videos import is_frame
from ovsskit.run.rasters.mosaic import is_mosaic, sources_of

State = Literal["pending", "done", "failed"]


@dataclass(frozen=True)
class ImageRecord:
    """Say what became of one image.

    `stamp` holds the file's size and time of change, so that a changed image is done again; `saved`
    names what is saved of it beside mask and overlay, and `files` all files that are; `areas` holds
    pairs of a class's id and the fraction it covers, the largest first; `confidence` the scores
    that the darkest and the brightest pixel of the confidence map stand for. `presence` holds pairs
    of a class's id and the probability that the image shows it, where the recipe asks that, the
    highest first; `notes` say what is odd. `miou` is the mean IoU with the true mask, from 0 to 1,
    where there is one.
    """

    name: NestedName
    source: str
    state: State = "pending"
    reason: str = ""
    stamp: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    saved: tuple[str, ...] = ()
    areas: tuple[tuple[int, float], ...] = ()
    confidence: tuple[float, float] | None = None
    files: Files = field(default_factory=dict)
    presence: tuple[tuple[int, float], ...] = ()
    notes: tuple[str, ...] = ()
    miou: float | None = None

    @property
    def shows_nothing(self) -> bool:
        """Return whether the image is done, and nothing but background."""
        return self.state == "done" and all(number == 0 for number, _ in self.areas)

    def to_line(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: Any) -> ImageRecord:
        """Read a record back from one line of JSON.

        Raises:
            ValueError: it is not a record, or a name in it would leave the folder.
        """
        record: ImageRecord = _READ_RECORD(json.loads(line))
        return record

    @classmethod
    def from_plain(cls, plain: Any) -> ImageRecord:
        """Read a record back from what JSON gave.

        Raises:
            ValueError: it is not a record, or a name in it would leave the folder.
        """
        record: ImageRecord = _READ_RECORD(plain)
        return record


@dataclass
class Costs:
    """Add up the cost of a run over all its starts: seconds, also by stage, and peak bytes."""

    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    peak_memory: int | None = None
    peak_device_memory: int | None = None

    @classmethod
    def from_plain(cls, plain: Any) -> Costs:
        """Read costs back from what JSON gave.

        Raises:
            ValueError: they are not costs.
        """
        costs: Costs = _READ_COSTS(plain)
        return costs

    def add(self, stage: str, seconds: float) -> None:
        """Add seconds that a stage took."""
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def plus(self, other: Costs) -> Costs:
        """Return the costs of both."""
        stages = {
            key: self.stages.get(key, 0.0) + other.stages.get(key, 0.0)
            for key in {**self.stages, **other.stages}
        }
        memory = max(filter(None, (self.peak_memory, other.peak_memory)), default=None)
        device = max(
            filter(None, (self.peak_device_memory, other.peak_device_memory)), default=None
        )
        return Costs(self.seconds + other.seconds, stages, memory, device)


_READ_RECORD = TypeAdapter(ImageRecord).validate_python
_READ_COSTS = TypeAdapter(Costs).validate_python


def stamp_of(path: Path) -> tuple[int, int]:
    """Return size and time of change of a file, or of a frame's video; zeros if there is none.

    Of a mosaic they are the size of all parts together, and the time of the last change; of a
    remote file its size, and a number that follows from its tag or else its time of change.
    """
    if isinstance(path, RemotePath):
        return path.stamp or stamp_of_remote(path)
    files = [path.parent if is_frame(path) else path]
    if is_mosaic(path):
        with suppress(BadImage):
            files += sources_of(path)
    try:
        stats = [one.stat() for one in files]
    except OSError:
        return 0, 0
    return sum(one.st_size for one in stats), max(one.st_mtime_ns for one in stats)
