"""The output folder of an evaluation: the record, and what was counted of every image.

    eval.json        the record: recipe, data set, protocol, weights, cost, and every metric
    images.jsonl     what was counted of each image, a line for each
    index.html       the report
    pictures/        the worst and the best images: truth, prediction and errors
    masks/           optional: what was found in each image, in the recipe's numbers

A line is added as soon as an image is counted: a killed evaluation has lost what was in flight, and
all sums are computed from the lines. A shard has a file of lines of its own while it is at work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ovsskit.eval.counts import ImageCounts
from ovsskit.files.lines import LineFiles
from ovsskit.files.own.kinds import EVAL
from ovsskit.files.shard import WHOLE, Shard
from ovsskit.run.output.record import Costs
from ovsskit.run.output.recorded import RecordedFolder

LINES = "images.jsonl"


class EvalFolder(RecordedFolder):
    """Hold an output folder that is locked for one evaluation, or raise BadOutput."""

    def __init__(self, path: Path, identity: dict[str, Any], shard: Shard = WHOLE) -> None:
        self.lines = LineFiles(self, "images")
        super().__init__(path, EVAL, identity, shard)

    def begin(self) -> None:
        """Hold what a new folder holds."""
        self.costs = Costs()

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says."""
        self.costs = Costs.from_plain(plain["costs"])

    @property
    def holds_work(self) -> bool:
        """Tell whether an image was counted."""
        return any(next(self._lines_of(name), None) is not None for name in self.lines.names())

    def claim(self) -> None:
        """Write the record of an evaluation of which nothing is counted yet."""
        self.save(Costs(), {})

    def share(self) -> None:
        """Let other shards count into the folder, too."""
        if not self.shard.is_whole:
            self.gather(again=True)
        super().share()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder alone, with what was counted by now: by this shard and by others.

        Raises:
            CannotWrite: another shard holds it for too long, or it cannot be written any more.
        """
        if self.shard.is_whole:
            yield
            return
        with super().alone():
            plain = json.loads((self.path / EVAL).read_text(encoding="utf-8"))
            self.costs = Costs.from_plain(plain["costs"])
            self.gather(again=False)
            yield

    def start(self) -> set[int]:
        """Claim the folder, or go on in it; return the places of the images that are counted.

        Lines that a killed evaluation left half written are removed, and those of images that were
        left out: they are tried again.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        if not self.is_claimed:
            self.claim()
        if self.shard.is_whole:
            self.gather(again=True)
        return {counts.index for counts in self.read() if not counts.left_out}

    def gather(self, *, again: bool) -> None:
        """Have one line for each image, in the order of the data set, also of ended shards.

        With `again`, images that were left out lose theirs: they are to be tried again.
        """
        names = self.lines.names()
        kept: dict[int, tuple[str, int, bool]] = {}
        lines = 0
        for name in names:
            for offset, counts in self._lines_of(name):
                lines += 1
                if counts is None or (counts.left_out and again and self.shard.has(counts.name)):
                    continue
                before = kept.get(counts.index)
                if before is None or (before[2] and not counts.left_out):
                    kept[counts.index] = (name, offset, bool(counts.left_out))
        if {*names} - {LINES} or lines != len(kept) or [*kept] != sorted(kept):
            self.lines.gather((name, offset) for _, (name, offset, _) in sorted(kept.items()))

    def add(self, counts: ImageCounts) -> None:
        """Note what was counted of an image.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        self.append(self.lines.own, counts.to_line())

    def read(self) -> Iterator[ImageCounts]:
        """Yield what was counted, image by image; a half-written line is passed over."""
        for name in dict.fromkeys((LINES, self.lines.own)):
            yield from (counts for _, counts in self._lines_of(name) if counts is not None)

    def _lines_of(self, name: str) -> Iterator[tuple[int, ImageCounts | None]]:
        """Yield every line of a file, and where it begins; None in the place of a broken one."""
        for offset, line in self.lines.read(name):
            try:
                yield offset, ImageCounts.from_line(line)
            except ValueError:
                yield offset, None

    def save(self, costs: Costs, plain: dict[str, Any]) -> dict[str, Any]:
        """Write the record, and return it.

        `costs` are those of this session; what earlier ones cost is added.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        whole = {**plain, "costs": asdict(self.costs.plus(costs)), "identity": self.identity}
        self.write_record(**whole)
        return whole
