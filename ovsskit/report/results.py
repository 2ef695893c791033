"""Read the records that evaluations leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsskit._lazy import Int, torch
from ovsskit.datasets.dataset import Facts
from ovsskit.datasets.protocol import Counting, Protocol
from ovsskit.errors import BadFile, Place
from ovsskit.eval.counts import ImageCounts
from ovsskit.eval.folder import LINES
from ovsskit.eval.totals import Totals
from ovsskit.files.own.kinds import EVAL
from ovsskit.files.reading import Unreadable, read_json

NEEDED = ("name", "dataset", "protocol", "images", "metrics", "classes")
"""What a record must hold to stand in a table."""


@dataclass(frozen=True)
class Result:
    """Hold the record of one result, and where it lies."""

    path: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """Return the name of the recipe."""
        return str(self.record["name"])

    @property
    def subject(self) -> tuple[str, ...]:
        """Return what two results must share to be compared: images, truth, classes, protocol."""
        data, protocol = self.record["dataset"], self.record["protocol"]
        rules = (protocol[key] for key in ("void", "mean", "background"))
        return (data["names"], self.record["images"]["truth"], *data["classes"], *rules)

    def groups(self) -> Int[torch.Tensor, "group 3 class"]:
        """Return hits, true and predicted pixels of every class in every group of images.

        Raises:
            BadFile: the lines of the images are not beside the record.
        """
        data = self.record["dataset"]
        palette = ((0, 0, 0),) * len(data["classes"])
        facts = Facts(
            data["name"],
            data["title"],
            tuple(data["classes"]),
            palette,
            background=data["background"],
        )
        totals = Totals(Counting(Protocol(**self.record["protocol"]), facts))
        for counts in self._lines():
            totals.add(counts)
        return totals.groups

    def _lines(self) -> Iterator[ImageCounts]:
        path = self.path.with_name(LINES)
        try:
            with path.open("rb") as file:
                for line in file:
                    yield ImageCounts.from_line(line)
        except (OSError, ValueError) as error:
            what = f"The counts of each image cannot be read: {error}."
            fix = f"Keep `{LINES}` beside `{EVAL}`: intervals are computed from it."
            raise BadFile(what, fix=fix, where=Place(str(path))) from error


def read_result(path: Path) -> Result:
    """Read the record of a result, given by its file or its folder.

    Raises:
        BadFile: there is none, it is broken, or nothing is counted yet.
    """
    file = path / EVAL if path.is_dir() else path
    try:
        record = read_json(file, dict[str, Any])
    except Unreadable as error:
        what = f"The record of a result cannot be read: {error}."
        fix = "Name a folder that `ovsskit eval` wrote, or the eval.json in it."
        raise BadFile(what, fix=fix, where=Place(str(file))) from error
    if any(key not in record for key in NEEDED):
        what = "This is not the record of a result."
        fix = "Name a folder that `ovsskit eval` wrote, or the eval.json in it."
        raise BadFile(what, fix=fix, where=Place(str(file)))
    images = record["images"]
    if not isinstance(images, dict) or not isinstance(images.get("counted"), int):
        what = "The record of a result is broken: it does not say how many images were counted."
        raise BadFile(what, fix="Run the evaluation again.", where=Place(str(file)))
    if not images["counted"]:
        what = "No image is counted in this result."
        raise BadFile(what, fix="Run the evaluation again.", where=Place(str(file)))
    return Result(file, record)
