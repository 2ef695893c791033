"""The output folder of a run: who may write it, which images are done, and `run.json`.

    run.json         what was run, with what, at what cost, and what became of every image
    index.html       the gallery
    classes.json     number, name and colour of every class
    masks/           label maps of the images' own sizes: pixel values are ids of classes
    overlays/        classes drawn over the images, with a legend
    confidence/      optional: how well the winning class scored
    scores/          optional: the maps of all classes
    maps/            what the stages wrote for the explained images
    gallery/         what the gallery shows
    windows/         of rasters that are not done: what was found in each window
    videos/          of each video that was run, the classes drawn over its frames

Below these folders, files lie as the images do below the folders that were named.

While a run goes on, every finished image adds a line to `finished.jsonl`: a killed run has lost
only what was in flight.
The record says of every file how large it is, so that a later run finds what is missing. After a
power cut it is whole, and images whose files did not reach the disk are done again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ovsskit.files.image_names import name_images
from ovsskit.files.own import RUN, Written, read_files
from ovsskit.run.output.record import Costs, ImageRecord, stamp_of
from ovsskit.run.output.recorded import RecordedFolder, versions

JOURNAL = "finished.jsonl"

log = logging.getLogger(__name__)


class OutputFolder(RecordedFolder):
    """Hold an output folder that is locked for one run, or raise BadOutput."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        super().__init__(path, RUN, identity)

    def begin(self) -> None:
        """Hold what a new folder holds."""
        self.costs, self.facts, self.stale = Costs(), dict[str, Any](), False
        self.records: dict[str, ImageRecord] = {}

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says, and what was finished since it was written."""
        listed = [ImageRecord.from_plain(one) for one in plain["images"]]
        pages = read_files(plain.get("pages", {}))
        self.costs = Costs.from_plain(plain["costs"])
        self.facts = {key: plain[key] for key in ("notices",) if key in plain}
        self.records = {record.name: record for record in [*listed, *self._journal()]}
        self.stale = (self.path / JOURNAL).exists() or not (
            pages and all(self.holds(name, written) for name, written in pages.items())
        )

    @property
    def holds_work(self) -> bool:
        """Tell whether anything of an image was written."""
        return any(record.files for record in self.records.values())

    def add(
        self,
        images: Sequence[Path],
        wanted: frozenset[str],
        explained: Collection[Path],
        *,
        verify: bool = False,
        roots: Sequence[Path] = (),
        rasters: Collection[Path] = (),
    ) -> list[ImageRecord]:
        """Enter images into the record, and return those that are still to do, in order.

        They are named by where they lie below the folders `roots`. Of those that are rasters only
        masks and confidences are saved.

        Done is an image whose file has not changed since and of which everything wanted was saved,
        also its maps if it is one of the explained, and all of that is still there: files of the
        size that was written, and with `verify` of the content.
        """
        known = {record.source: record.name for record in self.records.values()}
        names = name_images(images, known, roots)
        todo, damaged = [], 0
        for name, path in zip(names, images, strict=True):
            old = self.records.get(name)
            parts = wanted | {"maps"} if path in explained else wanted
            parts = parts & {"confidence"} if path in rasters else parts
            new = ImageRecord(
                name, str(path.absolute()), stamp=stamp_of(path), saved=tuple(sorted(parts))
            )
            same = old is not None and (old.state, old.stamp) == ("done", new.stamp)
            if old is not None and same and parts <= {*old.saved}:
                if self.has(old, verify=verify):
                    continue
                damaged += 1
            self.records[name] = new if old is None else replace(new, files=old.files)
            todo.append(self.records[name])
        self.records = dict(sorted(self.records.items()))  # whatever came first
        if damaged:
            log.warning(
                "%d of the %d images that were done are done again: files are missing or changed",
                damaged,
                len(images),
            )
        return todo

    def has(self, record: ImageRecord, *, verify: bool = False) -> bool:
        """Tell whether everything that was written of an image is there as it was written."""
        return bool(record.files) and all(
            self.holds(name, written, verify=verify) for name, written in record.files.items()
        )

    def explain_first(self, todo: list[ImageRecord]) -> None:
        """Have the maps of the first image saved, unless those of another were."""
        if todo and not any("maps" in record.saved for record in self.records.values()):
            todo[0] = replace(todo[0], saved=tuple(sorted({*todo[0].saved, "maps"})))
            self.records[todo[0].name] = todo[0]

    def finish(self, record: ImageRecord) -> None:
        """Note that an image is done or has failed, and remove older files of it.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        before = self.records[record.name].files
        self.records[record.name] = record
        self.append(JOURNAL, record.to_line())
        for name in before.keys() - record.files.keys():
            self.delete(name)

    def see_done(self, names: Collection[str]) -> None:
        """See that what was written of these images is still there, else note that it failed."""
        for name in names:
            record = self.records[name]
            if record.state == "done" and not self.has(record):
                self.finish(failed(record, "Its files were taken away while the run went on."))

    def save(self, costs: Costs, pages: Mapping[str, Written] | None = None) -> None:
        """Write `run.json`; `costs` are those of this session, what earlier ones cost is added.

        `pages` are the files that show the run as a whole. What is named in the record is on the
        disk before it is.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        states = [record.state for record in self.records.values()]
        self.write_record(
            written=datetime.now(UTC).isoformat(timespec="seconds"),
            counts={state: states.count(state) for state in ("done", "failed", "pending")},
            without_a_class=sum(one.shows_nothing for one in self.records.values()),
            **self.facts,
            costs=asdict(self.costs.plus(costs)),
            identity=self.identity,
            versions=versions(),
            pages=pages or {},
            images=[asdict(record) for record in self.records.values()],
        )
        self.delete(JOURNAL)

    def _journal(self) -> list[ImageRecord]:
        """Read what was finished since the record was written; unreadable lines are passed over."""
        path = self.path / JOURNAL
        lines = path.read_bytes().splitlines() if path.exists() else []
        records, broken = [], 0
        for line in lines:
            try:
                records.append(ImageRecord.from_plain(json.loads(line)))
            except (ValueError, RecursionError):
                broken += 1
        if broken:
            log.warning(
                "%d of %d lines of %s cannot be read; what they alone tell of is done again",
                broken,
                len(lines),
                path,
            )
        return records


def failed(record: ImageRecord, reason: str) -> ImageRecord:
    """Return the record of an image that could not be done."""
    return replace(record, state="failed", reason=reason)
