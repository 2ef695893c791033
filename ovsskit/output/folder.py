"""The output folder of a run: who may write it, which pictures are done, and `run.json`.

    run.json         what was run, with what, at what cost, and what became of every picture
    index.html       the gallery
    classes.json     number, name and colour of every class
    masks/           label maps of the pictures' own sizes: pixel values are the numbers of the classes
    overlays/        classes drawn over the pictures, with a legend
    confidence/      optional: how well the winning class scored
    scores/          optional: the maps of all classes
    maps/            what the stages wrote for the explained pictures
    gallery/         what the gallery shows

While a run goes on, every finished picture adds a line to `finished.jsonl`; a killed run has lost only what was in flight.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ovsskit import __version__
from ovsskit.errors import BadOutput, Place
from ovsskit.identity import differences
from ovsskit.inputs import name_pictures
from ovsskit.output.files import PART, cannot_write, make_folder, write_text
from ovsskit.output.record import Costs, PictureRecord, stamp_of

RUN, JOURNAL, LOCK = "run.json", "finished.jsonl", ".lock"
PACKAGES = ("torch", "transformers", "numpy", "pillow", "kornia")


class OutputFolder:
    """Hold an output folder that is locked for one run of one identity."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        """Make, lock and read the folder.

        Raises:
            BadOutput: it cannot be written, another run is writing into it, or it holds other files or another run.
        """
        self.path, self.identity = path, identity
        self._refuse_strange_files()
        make_folder(path)
        self._lock = FileLock(path / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            what, fix = (
                "Another run is writing into this folder.",
                "Wait until it ends, or name another with --out.",
            )
            raise BadOutput(what, fix=fix, where=Place(str(path))) from error
        self.costs, self.facts = Costs(), dict[str, Any]()
        self.records: dict[str, PictureRecord] = {}
        try:
            self._read()
        except BaseException:
            self._lock.release()
            raise
        for part in path.rglob(f".*{PART}"):
            part.unlink()

    def close(self) -> None:
        """Let other runs use the folder."""
        self._lock.release()

    def add(
        self, pictures: Sequence[Path], wanted: frozenset[str], explained: Collection[Path]
    ) -> list[PictureRecord]:
        """Enter pictures into the record, and return those that are still to do, in order.

        Done is a picture whose file has not changed since and of which everything wanted was saved, also its maps if it
        is one of the explained.
        """
        names = name_pictures(
            pictures, {record.source: record.name for record in self.records.values()}
        )
        todo = []
        for name, path in zip(names, pictures, strict=True):
            old = self.records.get(name)
            parts = wanted | {"maps"} if path in explained else wanted
            new = PictureRecord(
                name, str(path.absolute()), stamp=stamp_of(path), saved=tuple(sorted(parts))
            )
            if (
                old is not None
                and old.state == "done"
                and old.stamp == new.stamp
                and parts <= {*old.saved}
            ):
                continue
            self.records[name] = new
            todo.append(new)
        return todo

    def explain_first(self, todo: list[PictureRecord]) -> None:
        """Have the maps of the first picture saved, unless those of another were."""
        if todo and not any("maps" in record.saved for record in self.records.values()):
            todo[0] = replace(todo[0], saved=tuple(sorted({*todo[0].saved, "maps"})))
            self.records[todo[0].name] = todo[0]

    def finish(self, record: PictureRecord) -> None:
        """Note that a picture is done or has failed.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        self.records[record.name] = record
        path = self.path / JOURNAL
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{record.to_line()}\n")
        except OSError as error:
            raise cannot_write(error, path) from error

    def save(self, costs: Costs) -> None:
        """Write `run.json`; `costs` are those of this session, what earlier ones cost is added.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        states = [record.state for record in self.records.values()]
        plain = {
            "ovsskit": __version__,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "counts": {state: states.count(state) for state in ("done", "failed", "pending")},
            **self.facts,
            "costs": asdict(self.costs.plus(costs)),
            "identity": self.identity,
            "versions": versions(),
            "pictures": [asdict(record) for record in self.records.values()],
        }
        write_text(self.path / RUN, json.dumps(plain, indent=1))
        (self.path / JOURNAL).unlink(missing_ok=True)

    def _read(self) -> None:
        path = self.path / RUN
        if not path.exists():
            return
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            changed = differences(plain["identity"], self.identity)
            records = [PictureRecord.from_plain(one) for one in plain["pictures"]]
            self.costs = Costs(**plain["costs"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            what, fix = (
                "The record of the run in this folder is broken.",
                "Name another folder with --out, or remove this one.",
            )
            raise BadOutput(what, fix=fix, where=Place(str(path))) from error
        if changed:
            more = f"; and {len(changed) - 4} more" if len(changed) > 4 else ""
            raise BadOutput(
                "The folder holds another run.",
                there=f"{'; '.join(changed[:4])}{more}",
                fix="Name another folder with --out, or remove this one.",
                where=Place(str(self.path)),
            )
        self.facts = {key: plain[key] for key in ("notices",) if key in plain}
        self.records = {record.name: record for record in [*records, *self._journal()]}

    def _journal(self) -> list[PictureRecord]:
        path = self.path / JOURNAL
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        records = []
        for line in lines:
            try:
                records.append(PictureRecord.from_plain(json.loads(line)))
            except (ValueError, TypeError):
                continue
        return records

    def _refuse_strange_files(self) -> None:
        if self.path.is_dir() and not (self.path / RUN).exists():
            strange = next(
                (
                    one.name
                    for one in self.path.iterdir()
                    if one.name != LOCK and not one.name.endswith(PART)
                ),
                None,
            )
            if strange is not None:
                what, there = (
                    "The folder holds files that are of no run.",
                    f"There is `{strange}`, and no `{RUN}`.",
                )
                raise BadOutput(
                    what,
                    there=there,
                    fix="Name another folder with --out.",
                    where=Place(str(self.path)),
                )


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def failed(record: PictureRecord, reason: str) -> PictureRecord:
    """Return the record of a picture that could not be done."""
    return replace(record, state="failed", reason=reason)
