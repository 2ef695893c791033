"""The output folder of an evaluation: the record, and what was counted of every image.

    eval.json        the record: recipe, data set, protocol, weights, cost, and every metric
    images.jsonl     what was counted of each image, a line for each
    index.html       the report
    pictures/        the worst and the best images: truth, prediction and errors
    masks/           optional: what was found in each image, in the recipe's numbers

A line is added as soon as an image is counted: a killed evaluation has lost what was in flight, and
all sums are computed from the lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from ovsskit.eval.counts import ImageCounts
from ovsskit.files.own import EVAL
from ovsskit.run.output.record import Costs
from ovsskit.run.output.recorded import RecordedFolder

LINES = "images.jsonl"


class EvalFolder(RecordedFolder):
    """Hold an output folder that is locked for one evaluation, or raise BadOutput."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        super().__init__(path, EVAL, identity)

    def begin(self) -> None:
        """Hold what a new folder holds."""
        self.costs = Costs()

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says."""
        self.costs = Costs.from_plain(plain["costs"])

    @property
    def holds_work(self) -> bool:
        """Tell whether an image was counted."""
        return next(self.read(), None) is not None

    def start(self) -> set[int]:
        """Claim the folder, or go on in it; return the places of the images that are counted.

        Lines that a killed evaluation left half written are removed, and those of images that were
        left out: they are tried again.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        if not self.is_claimed:
            self.save(Costs(), {})
        path = self.path / LINES
        if not path.exists():
            return set()
        with path.open("rb") as file:
            lines = sum(1 for _ in file)
        done = {counts.index for counts in self.read() if not counts.left_out}
        if len(done) < lines:
            self.write(LINES, self._copy)
        return done

    def _copy(self, file: BinaryIO) -> None:
        """Write the line of every image that is counted, once."""
        seen: set[int] = set()
        for counts in self.read():
            if not counts.left_out and counts.index not in seen:
                seen.add(counts.index)
                file.write(f"{counts.to_line()}\n".encode())

    def add(self, counts: ImageCounts) -> None:
        """Note what was counted of an image.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        self.append(LINES, counts.to_line())

    def read(self) -> Iterator[ImageCounts]:
        """Yield what was counted, image by image; a half-written line is passed over."""
        path = self.path / LINES
        if not path.exists():
            return
        with path.open("rb") as file:
            for line in file:
                with suppress(ValueError):
                    yield ImageCounts.from_line(line)

    def save(self, costs: Costs, plain: dict[str, Any]) -> dict[str, Any]:
        """Write the record, and return it.

        `costs` are those of this session; what earlier ones cost is added.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        whole = {**plain, "costs": asdict(self.costs.plus(costs)), "identity": self.identity}
        self.write_record(**whole)
        return whole
