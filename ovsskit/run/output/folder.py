"""The output folder of a run: who may write it, which images are done, and `run.json`.

    run.json         what was run, with what, at what cost, and how many images are done
    images.sqlite    what became of every image
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
The records say of every file how large it is, so that a later run finds what is missing. After a
power cut they are whole, and images whose files did not reach the disk are done again. No record is
held in memory: an image costs as much in a run of a million as in one of ten.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, overload

from ovsskit.files.image_names import name_images
from ovsskit.files.lines import LineFiles
from ovsskit.files.own.kinds import RUN
from ovsskit.files.own.open_folder import OpenFolder
from ovsskit.files.own.written import Written, read_files
from ovsskit.files.shard import WHOLE, Shard
from ovsskit.run.output.gallery import PAGES
from ovsskit.run.output.record import Costs, ImageRecord, stamp_of
from ovsskit.run.output.recorded import RecordedFolder, versions
from ovsskit.run.output.records import IMAGES, Records, open_records

JOURNAL = "finished.jsonl"

log = logging.getLogger(__name__)


class OutputFolder(RecordedFolder):
    """Hold an output folder that is locked for one run, or raise BadOutput."""

    log = JOURNAL

    def __init__(self, path: Path, identity: dict[str, Any], shard: Shard = WHOLE) -> None:
        self.records = Records()
        self.journals = LineFiles(self, "finished")
        super().__init__(path, RUN, identity, shard)

    def begin(self) -> None:
        """Hold what a new folder holds."""
        self.costs, self.facts, self.stale = Costs(), dict[str, Any](), False
        self.pages: dict[str, Written] = {}
        self.records = Records()

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says, and what was finished since it was written."""
        self.pages = read_files(plain.get("pages", {}))
        self.costs = Costs.from_plain(plain["costs"])
        self.facts = {key: plain[key] for key in ("notices",) if key in plain}
        self.records = open_records(self.path, plain)
        journals = self.journals.names()
        for name in journals:
            for record in self._read_journal(name):
                self.records[record.name] = record
        self.stale = bool(journals) or not (
            self.pages and all(self.holds(name, written) for name, written in self.pages.items())
        )

    def claim(self) -> None:
        """Write the record of a run of which nothing is done yet, for all shards."""
        self.save(Costs())

    def share(self) -> None:
        """Let other shards work in the folder; what this one finds is brought to it `alone`."""
        if not self.shard.is_whole:
            self._keep()
            for name in self.journals.names():
                self.delete(name)
            held, self.records = self.records, self.records.copy()
            held.close()
        super().share()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder alone, with all that was found by now: by this shard and by others.

        Raises:
            CannotWrite: another shard holds it for too long, or it cannot be written any more.
        """
        if self.shard.is_whole:
            yield
            return
        with super().alone():
            plain = json.loads((self.path / RUN).read_text(encoding="utf-8"))
            notices = [*plain.get("notices", ()), *self.facts.get("notices", ())]
            self.facts["notices"] = list(dict.fromkeys(notices))
            self.costs, self.pages = Costs.from_plain(plain["costs"]), read_files(plain["pages"])
            mine, self.records = self.records, open_records(self.path, plain)
            for record in mine.each():
                is_own, known = self.shard.has(record.name), self.records.get(record.name)
                if known is None or (is_own and known != record):
                    self.records[record.name] = record
            mine.close()
            yield

    @property
    def is_outdated(self) -> bool:
        """Tell whether the record lacks what another shard found that has ended."""
        return False

    def close(self) -> None:
        """Let others use the folder."""
        self.records.close()
        super().close()

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
    ) -> Todo:
        """Enter images into the record, and return those that are still to do, in order.

        They are named by where they lie below the folders `roots`. Of those that are rasters only
        masks and confidences are saved.

        Done is an image whose file has not changed since and of which everything wanted was saved,
        also its maps if it is one of the explained, and all of that is still there: files of the
        size that was written, and with `verify` of the content.
        """
        names = name_images(images, self.records.name_of, self.records, roots)
        self.leader = ""
        explained, rasters = {*explained}, {*rasters}
        todo, damaged = list[str](), 0
        for name, path in zip(names, images, strict=True):
            old = self.records.get(name)
            parts = wanted | {"maps"} if path in explained else wanted
            parts = parts & {"confidence"} if path in rasters else parts
            kept = tuple(sorted(parts))
            if not self.shard.has(name):
                self._leave(ImageRecord(name, str(path.absolute()), saved=kept), path in rasters)
                continue
            new = ImageRecord(name, str(path.absolute()), stamp=stamp_of(path), saved=kept)
            same = old is not None and (old.state, old.stamp) == ("done", new.stamp)
            if old is not None and same and parts <= {*old.saved}:
                if self.has(old, verify=verify):
                    continue
                damaged += 1
            self.records[name] = new if old is None else replace(new, files=old.files)
            todo.append(name)
            self.leader = self.leader or ("" if path in rasters else name)
        if damaged:
            log.warning(
                "%d of the %d finished images are done again: files are missing or changed",
                damaged,
                len(images),
            )
        return Todo(self, todo)

    def _leave(self, record: ImageRecord, is_raster: bool) -> None:
        """Enter an image that another shard does."""
        known = self.records.get(record.name)
        if known is None:
            self.records[record.name] = record
        if known is None or known.state != "done":
            self.leader = self.leader or ("" if is_raster else record.name)

    def has(self, record: ImageRecord, *, verify: bool = False) -> bool:
        """Tell whether everything that was written of an image is there as it was written."""
        return bool(record.files) and all(
            self.holds(name, written, verify=verify) for name, written in record.files.items()
        )

    def explain_first(self, todo: Todo) -> None:
        """Have the maps of the first image of all saved, unless those of another were."""
        if todo and todo.names[0] == self.leader and not self.records.first("explained", 1):
            first = todo[0]
            self.records[first.name] = replace(first, saved=tuple(sorted({*first.saved, "maps"})))

    def finish(self, record: ImageRecord) -> None:
        """Note that an image is done or has failed, and remove older files of it.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        before = self.records[record.name].files
        self.records[record.name] = record
        self.append(self.journals.own, record.to_line())
        for name in before.keys() - record.files.keys():
            self.delete(name)

    def see_done(self, names: Iterable[str]) -> None:
        """See that what was written of these images is still there, else note that it failed."""
        for name in names:
            record = self.records[name]
            if record.state == "done" and not self.has(record):
                self.finish(failed(record, "Its files were removed during the run."))

    def save(self, costs: Costs, pages: Mapping[str, Written] | None = None) -> None:
        """Write `run.json` and the records of the images; costs of earlier sessions are added.

        `pages` are the files that show the run as a whole. What is named in the record is on the
        disk before it is.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        if self.is_claimed:  # nothing is to be in a folder before its record
            self._keep()
        self.write_record(
            written=datetime.now(UTC).isoformat(timespec="seconds"),
            counts=self.records.counts(),
            without_a_class=self.records.count_empty(),
            **self.facts,
            costs=asdict(self.costs.plus(costs)),
            identity=self.identity,
            versions=versions(),
            pages=pages or {},
        )
        self._keep()
        whole = self.shard.is_whole  # it has also read what shards noted that were killed
        for name in self.journals.names() if whole else [self.journals.own]:
            self.delete(name)
        for name in self.pages.keys() - (pages or self.pages).keys():
            if name.startswith(PAGES):  # the gallery has fewer pages now
                self.delete(name)
        self.pages = {**(pages or {})}

    def _keep(self) -> None:
        """Bring the records of the images to the disk."""
        if self.records.path is None:
            self.delete(f"{IMAGES}-journal")  # of an older file of this name
            self.records = Records(self.write_by_path(IMAGES, self.records.copy_to))
        else:
            with self.telling(self.records.path):
                self.see_there()
                self.records.commit()

    def _read_journal(self, name: str) -> Iterator[ImageRecord]:
        """Read what was finished since the record was written; unreadable lines are passed over."""
        lines, broken = 0, 0
        for _, line in self.journals.read(name):
            lines += 1
            try:
                yield ImageRecord.from_line(line)
            except (ValueError, RecursionError):
                broken += 1
        if broken:
            log.warning(
                "%d of %d lines of %s cannot be read; what is recorded only there is done again",
                broken,
                lines,
                self.path / name,
            )


class HeldFolder(OpenFolder):
    """Write into the folder of a run that another process holds, which `finish` tells of images."""

    state = ()

    def __init__(
        self, path: Path, finish: Callable[[ImageRecord], None], shard: Shard = WHOLE
    ) -> None:
        super().__init__(path, RUN, shard)
        self.enter()
        self.finish = finish


class Todo(Sequence[ImageRecord]):
    """The images of a folder that are to do, by their names; each record is read when asked for."""

    def __init__(self, folder: OutputFolder, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, place: slice) -> Todo: ...
    def __getitem__(self, place: int | slice) -> ImageRecord | Todo:
        """Return one, or some, by place."""
        if isinstance(place, slice):
            return Todo(self.folder, self.names[place])
        return self.folder.records[self.names[place]]

    def split(self, sources: Collection[str]) -> tuple[Todo, Todo]:
        """Return the images of other sources, and those of these, by their full paths."""
        if not sources:
            return self, self[:0]
        inside = [one.name for one in self if one.source in sources]
        names = {*inside}
        return Todo(self.folder, [one for one in self.names if one not in names]), Todo(
            self.folder, inside
        )


def failed(record: ImageRecord, reason: str) -> ImageRecord:
    """Return the record of an image that could not be done."""
    return replace(record, state="failed", reason=reason)
