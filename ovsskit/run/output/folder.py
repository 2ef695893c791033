"""The output folder of a run: who may write it, which images are done, and `run.json`.

    run.json         what was run, with what, at what cost, and what became of every image
    index.html       the gallery
    classes.json     number, name and colour of every class
    masks/           label maps of the images' own sizes: pixel values are the numbers of the classes
    overlays/        classes drawn over the images, with a legend
    confidence/      optional: how well the winning class scored
    scores/          optional: the maps of all classes
    maps/            what the stages wrote for the explained images
    gallery/         what the gallery shows

While a run goes on, every finished image adds a line to `finished.jsonl`; a killed run has lost only what was in flight.
The record says of every file how large it is, so that a later run finds what is missing. It alone is flushed to disk before it
is renamed: after a power cut it is whole, and images whose files did not reach the disk are done again.
"""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ovsskit._version import __version__
from ovsskit.engine.identity import differences
from ovsskit.errors import BadOutput, Place
from ovsskit.files.inputs import name_images
from ovsskit.files.own import RUN, OwnFolder, Written, read_files
from ovsskit.run.output.record import Costs, ImageRecord, stamp_of

JOURNAL = "finished.jsonl"
PACKAGES = (
    "torch",
    "transformers",
    "open_clip_torch",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "numpy",
    "pillow",
    "kornia",
)

log = logging.getLogger(__name__)


class OutputFolder(OwnFolder):
    """Hold an output folder that is locked for one run of one identity."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        """Make, lock and read the folder.

        Raises:
            BadOutput: it cannot be written, another run is writing into it, or it holds other files or another run.
        """
        super().__init__(path, RUN)
        self.identity, self.costs, self.facts = identity, Costs(), dict[str, Any]()
        self.records: dict[str, ImageRecord] = {}
        self.stale = False
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def add(
        self,
        images: Sequence[Path],
        wanted: frozenset[str],
        explained: Collection[Path],
        *,
        verify: bool = False,
    ) -> list[ImageRecord]:
        """Enter images into the record, and return those that are still to do, in order.

        Done is an image whose file has not changed since and of which everything wanted was saved, also its maps if it
        is one of the explained, and all of that is still there: files of the size that was written, and with `verify`
        of the content.
        """
        names = name_images(
            images, {record.source: record.name for record in self.records.values()}
        )
        todo, damaged = [], 0
        for name, path in zip(names, images, strict=True):
            old = self.records.get(name)
            parts = wanted | {"maps"} if path in explained else wanted
            new = ImageRecord(
                name, str(path.absolute()), stamp=stamp_of(path), saved=tuple(sorted(parts))
            )
            if (
                old is not None
                and old.state == "done"
                and old.stamp == new.stamp
                and parts <= {*old.saved}
            ):
                if self.has(old, verify=verify):
                    continue
                damaged += 1
            self.records[name] = new if old is None else replace(new, files=old.files)
            todo.append(self.records[name])
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
        """Note that an image is done or has failed, and remove what was written of it before and is no more.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        before = self.records[record.name].files
        self.records[record.name] = record
        self.append(JOURNAL, record.to_line())
        for name in before.keys() - record.files.keys():
            self.delete(name)

    def see_done(self, names: Collection[str]) -> None:
        """See that what was written of these images is still there; note an image of which it is not as failed."""
        for name in names:
            record = self.records[name]
            if record.state == "done" and not self.has(record):
                self.finish(failed(record, "Its files were taken away while the run went on."))

    def save(self, costs: Costs, pages: Mapping[str, Written] | None = None) -> None:
        """Write `run.json`; `costs` are those of this session, what earlier ones cost is added.

        `pages` are the files that show the run as a whole. What is named in the record is on the disk before it is.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        states = [record.state for record in self.records.values()]
        plain = {
            "ovsskit": __version__,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "counts": {state: states.count(state) for state in ("done", "failed", "pending")},
            "without_a_class": sum(one.shows_nothing for one in self.records.values()),
            **self.facts,
            "costs": asdict(self.costs.plus(costs)),
            "identity": self.identity,
            "versions": versions(),
            "pages": pages or {},
            "images": [asdict(record) for record in self.records.values()],
        }
        self.write_text(RUN, json.dumps(plain, indent=1), flush=True)
        self.delete(JOURNAL)

    def _read(self) -> None:
        if not self.is_claimed:
            return
        try:
            plain = json.loads((self.path / RUN).read_text(encoding="utf-8"))
            changed = differences(plain["identity"], self.identity)
            records = [ImageRecord.from_plain(one) for one in plain["images"]]
            costs = Costs.from_plain(plain["costs"])
            pages = read_files(plain.get("pages", {}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self.broken() from error
        records += self._journal()
        if changed and not any(record.files for record in records):
            return  # nothing was done: whatever it was meant to be, nothing is lost
        if changed:
            more = f"; and {len(changed) - 4} more" if len(changed) > 4 else ""
            raise BadOutput(
                "The folder holds another run.",
                there=f"{'; '.join(changed[:4])}{more}",
                fix="Name another folder with --out, or remove this one.",
                where=Place(str(self.path)),
            )
        self.costs = costs
        self.facts = {key: plain[key] for key in ("notices",) if key in plain}
        self.records = {record.name: record for record in records}
        self.stale = (self.path / JOURNAL).exists() or not (
            pages and all(self.holds(name, written) for name, written in pages.items())
        )

    def _journal(self) -> list[ImageRecord]:
        """Read what was finished since the record was written; a line that cannot be read is passed over."""
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


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def failed(record: ImageRecord, reason: str) -> ImageRecord:
    """Return the record of an image that could not be done."""
    return replace(record, state="failed", reason=reason)
