"""One `ovsskit export`: read a finished run image by image, and write what a format has."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from ovsskit._version import __version__
from ovsskit.engine.images import allow_pixels
from ovsskit.engine.notices import Notices, hearing
from ovsskit.errors import BadImage, BadValue, CannotWrite, OvsskitError, Place, reason_of
from ovsskit.export.callbacks import ExportCallbacks
from ovsskit.export.classes import choose_exported
from ovsskit.export.folder import ExportFolder, Line
from ovsskit.export.format import Format, Part
from ovsskit.export.found import Found
from ovsskit.export.images import bring_image, see_unchanged
from ovsskit.export.options import ExportOptions
from ovsskit.export.registry import find_format
from ovsskit.files.decoding import adopt_warnings
from ovsskit.files.digests import digest_texts
from ovsskit.files.own.written import Written
from ovsskit.files.remote import address_of, image_path
from ovsskit.recipe.class_lists import parse_classes
from ovsskit.run.finished import FinishedRun
from ovsskit.run.output.record import ImageRecord, stamp_of

DRAWN = "images rewritten as PNG"
"""What is counted beside the losses of a format."""

log = logging.getLogger(__name__)


def export_run(options: ExportOptions, callbacks: ExportCallbacks) -> dict[str, Any]:
    """Write the masks of a finished run in another format, and return the record of that.

    Raises:
        OvsskitError: something is wrong with the run, format, classes or output folder.
    """
    adopt_warnings()
    with hearing(callbacks) as notices:
        job = _prepare(options, callbacks, notices)
        try:
            return job.run()
        finally:
            job.folder.close()


def _prepare(options: ExportOptions, callbacks: ExportCallbacks, notices: Notices) -> _Job:
    kind = find_format(options.format)
    run = FinishedRun(options.run, may_grow=not options.shard.is_whole)
    if options.min_confidence is not None:
        _see_confidence(options, kind, run)
    if kind.reads == "scores" and run.records and not any(map(run.has_scores, run.records)):
        what = f"The run saved no scores, which are all that `{options.format}` holds."
        raise BadValue(what, fix="Run again with --save-scores.", where=Place("--to"))
    wanted = None
    if options.classes is not None:
        wanted = parse_classes(options.classes, run.vocabulary.background)
    classes = choose_exported(run.vocabulary, wanted)
    if options.simplify and not kind.simplifies:
        what = f"`{options.format}` holds no outlines that could be simplified."
        raise BadValue(what, fix="Leave out --simplify.", where=Place("--simplify"))
    made = kind(classes, run.title, options.simplify)
    made.check()
    if kind.wants_images and not options.images:
        text = (
            "`%s` is read with the images beside it: add them with --copy-images or --link-images"
        )
        log.info(text, options.format)
    allow_pixels(options.max_pixels)
    identity = {
        "format": options.format,
        "folder": str(run.folder.resolve()),
        "run": run.identity,
        "classes": [one.name for one in classes.classes],
        "min_confidence": options.min_confidence,
        "images": options.images,
    } | ({"simplify": options.simplify} if options.simplify else {})
    folder = ExportFolder(options.folder, identity, made.image_folder, options.shard)
    return _Job(options, callbacks, notices, run, made, folder)


def _see_confidence(options: ExportOptions, kind: type[Format], run: FinishedRun) -> None:
    where = Place("--min-confidence")
    if kind.reads != "masks":
        what = f"`{options.format}` holds scores, not masks in which pixels could be left out."
        raise BadValue(what, fix="Leave out --min-confidence.", where=where)
    if run.records and not any(run.has_confidence(one) for one in run.records):
        what = "The run saved no confidence."
        raise BadValue(what, fix="Run again with --save-confidence.", where=where)


@dataclass
class _Job:
    """Hold an export that nothing known stands against."""

    options: ExportOptions
    callbacks: ExportCallbacks
    notices: Notices
    finished: FinishedRun
    format: Format
    folder: ExportFolder
    left_out: dict[str, str] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)

    @cached_property
    def root(self) -> str:
        """Return the folder below which all images lie; nothing where there is none."""
        return _common_folder(self.finished.images.each())

    def run(self) -> dict[str, Any]:
        self.folder.start(self._plain(finished=False))
        shard, records = self.options.shard, self.finished.records
        count = len(records) if shard.is_whole else sum(shard.has(one.name) for one in records)
        self.callbacks.begin(count)
        done = list[str]()
        for number, record in self._numbered():
            if record.state != "done" or not shard.has(record.name):
                continue
            reason = ""
            try:
                self._see(number, record)
                done.append(record.name)
            except CannotWrite:
                raise
            except OvsskitError as error:
                reason = self.left_out[record.name] = reason_of(error)
            self.callbacks.tell(record.name, reason)
        with self.folder.alone():
            whole = self._conclude(done)
        self.callbacks.end(self.folder.where, whole)
        return whole

    def _numbered(self) -> Iterator[tuple[int, ImageRecord]]:
        """Yield all images of the run with their places, which stay while shards work at it."""
        return enumerate(self.finished.images.each(), start=1)

    def _conclude(self, done: list[str]) -> dict[str, Any]:
        """Write the record and, if this is the last shard, the whole; return the record."""
        self.folder.left_out |= self.left_out
        self.folder.notices = list(dict.fromkeys([*self.folder.notices, *self.notices.seen]))
        if not self.options.shard.is_whole:
            self.folder.gather()
            # Shards of the run itself may have ended since.
            self.finished = FinishedRun(self.options.run, may_grow=True)
            found = self._all_exported()
            if found is None:
                return self.folder.save(self._plain(finished=False))
            done = found
        self.folder.drop_others(set(done))
        self.folder.keep(done)
        for line in self.folder.parts():
            self.losses.update(line.part.kept.get("losses", {}))
            self.losses.update({DRAWN: 1} if line.drawn else {})
        self._finish()
        return self.folder.save(self._plain(finished=True))

    def _all_exported(self) -> list[str] | None:
        """Return the names of all images, or None where shards have yet to do some."""
        names = list[str]()
        for number, record in self._numbered():
            if record.state == "failed" or record.name in self.folder.left_out:
                continue
            line = self.folder.find(record.name)
            if line is None or record.state == "pending" or line.key != self._key(number, record):
                return None
            names.append(record.name)
        return names

    def _see(self, number: int, record: ImageRecord) -> None:
        """Have an image exported, unless it is already."""
        old, key = self.folder.find(record.name), self._key(number, record)
        if old is not None and old.key == key and self.folder.has(old):
            return
        line = self._export(number, record, key)
        if old is not None:
            self.folder.drop(old, line)
        self.folder.add(line)

    def _export(self, number: int, record: ImageRecord, key: str) -> Line:
        width, height = record.size
        is_bounded = self.format.by_strips and self.finished.is_raster(record)
        if width * height > self.options.max_pixels and not is_bounded:
            what = f"It has {width * height:,} pixels, more than the {self.options.max_pixels:,}"
            fix = "Allow more with --max-pixels."
            raise BadImage(f"{what} that are allowed.", fix=fix, where=Place(record.source))
        if self.format.reads_images:
            see_unchanged(record)
        found = Found(
            number,
            record,
            _below(record.source, self.root),
            self.finished,
            self.format.classes,
            self.options.min_confidence,
        )
        line = Line(Part(record.name, record.source, found.image, {}), key, {})
        try:
            if self.format.reads == "masks" and not self.format.by_strips:
                _ = found.ids  # before the image is brought: it may be left out
            if self.options.images:
                line = self._bring(found, line)
            kept = self.format.write(found, self._put_into(line.files))
        except OvsskitError:
            self.folder.drop(line)
            raise
        return replace(line, part=line.part._replace(kept=kept))

    def _bring(self, found: Found, line: Line) -> Line:
        """Bring an image beside what is exported of it."""
        where, is_link = self.format.image_folder, self.options.images == "link"
        rendering = None if self.format.images_as_stored else self.finished.rendering
        brought = bring_image(self.folder, found.record, rendering, where, link=is_link)
        found.image = brought.path
        part = line.part._replace(image=brought.path)
        return replace(line, part=part, files=brought.files, link=brought.link, drawn=brought.drawn)

    def _finish(self) -> None:
        """Write the files of the whole, and remove those that there are no more of.

        The record names every file before the next is written: none is forgotten where this stops.
        """
        fresh: dict[str, Written] = {}

        def put(name: str, write: Callable[[BinaryIO], object]) -> None:
            fresh[name] = self.folder.files[name] = self.folder.write(name, write)
            self.folder.save(self._plain(finished=False))

        self.format.finish(_Parts(self.folder), put)
        for name, written in self.folder.files.items():
            if name not in fresh and self.folder.holds(name, written):
                self.folder.delete(name)
        self.folder.files = fresh

    def _put_into(self, files: dict[str, Written]) -> Callable[..., None]:
        def put(name: str, write: Callable[[BinaryIO], object]) -> None:
            files[name] = self.folder.write(name, write)

        return put

    def _key(self, number: int, record: ImageRecord) -> str:
        """Return what distinguishes all that an image's files are made of."""
        kinds = ("scores",) if self.format.reads == "scores" else ("masks", "confidence")
        read = {name: written for name, written in record.files.items() if name.startswith(kinds)}
        source = image_path(record.source)
        needed = self.options.images or self.format.reads_images
        stamp = stamp_of(source) if needed else (0, 0)
        path = _below(record.source, self.root)
        made_of = [__version__, number, read, stamp, record.source, path]
        return digest_texts([json.dumps(made_of)])

    def _plain(self, *, finished: bool) -> dict[str, Any]:
        classes, count = self.format.classes, len(self.folder.names())
        return {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "finished": finished,
            "format": self.options.format,
            "run": {"folder": str(self.finished.folder), "name": self.finished.title},
            "root": address_of(Path(self.root)) or self.root,
            "classes": [
                {"number": one.number, "name": one.name, "place": place}
                for place, one in enumerate(classes.all)
            ],
            "images": {"exported": count, "left_out": len(self.folder.left_out)},
            "losses": dict(self.losses),
        }


@dataclass(frozen=True)
class _Parts:
    """Read what was exported of every image, as often as asked."""

    folder: ExportFolder

    def __iter__(self) -> Iterator[Part]:
        return (line.part for line in self.folder.parts())


def _common_folder(records: Iterable[ImageRecord]) -> str:
    root: str | None = None
    with suppress(ValueError):  # they lie on several drives
        for one in records:
            parent = str(Path(one.source).parent)
            root = parent if root is None else os.path.commonpath([root, parent])
        return root or ""
    return ""


def _below(source: str, root: str) -> str:
    return Path(source).relative_to(root).as_posix() if root else Path(source).as_posix()
