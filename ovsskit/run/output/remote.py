"""A remote output folder of a run (`s3://bucket/found`), which may be shared with other machines.

It holds what a local one does, but for `windows/`, which stay on the machine that does a raster.
The files of an image are put before its record, and the record into a journal: whoever finds a
record finds the files. Nobody can lock a remote folder. So a shard changes nothing that others
write: it leaves its journal and, at its end, what it cost, and makes `run.json`, `images.sqlite`
and the gallery from all journals. If another shard ends meanwhile, it makes them anew: the last is
right, whoever that is. A run without `--shard` brings the journals into the records, and removes
them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ovsskit.engine.identity import differences
from ovsskit.errors import CannotWrite, Place
from ovsskit.files.own.kinds import RUN
from ovsskit.files.own.written import Written
from ovsskit.files.remote import RemotePath, meant_path
from ovsskit.files.remote_journal import RemoteJournal
from ovsskit.files.shard import WHOLE, Shard
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.output.records import IMAGES


class RemoteOutputFolder(OutputFolder):
    """Hold a remote output folder for one run, or raise BadOutput."""

    state, may_share = (IMAGES,), True
    session: RemoteJournal

    def begin(self) -> None:
        """Hold what a new folder holds."""
        super().begin()
        self._earlier, self._counted, self._kept = Costs(), set[str](), (0, 0)

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says, and what was finished and has ended since it was written."""
        super().restore(plain)
        self._earlier, self._counted = self.costs, {*plain.get("sessions", ())}
        self._add_up()

    def share(self) -> None:
        """Keep the working folder: other shards have their own."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold all that was found by now: by this shard and by others; see `is_outdated`.

        Raises:
            CannotWrite: the folder cannot be read, or holds another run now.
        """
        if not self.shard.is_whole:
            self._see_identity()
            for content in self.session.read():
                for line in content.splitlines():
                    self._hear(line)
            self._add_up()
            if self.remote is not None:
                self.remote.look_again()
        yield

    @property
    def is_outdated(self) -> bool:
        """Tell whether other shards have ended since this one took up what they found."""
        return not self.shard.is_whole and self.session.has_news_of_ends()

    def save(self, costs: Costs, pages: Mapping[str, Written] | None = None) -> None:
        """Write `run.json` and the records of the images; see `OutputFolder.save`."""
        if not self.shard.is_whole and self.is_claimed:
            notices = self.facts.get("notices", [])
            self.session.end(json.dumps({"costs": asdict(costs), "notices": notices}))
            self._counted.add(self.session.name)
        self.facts["sessions"] = sorted(self._counted | {*self.session.ends})
        super().save(costs, pages)
        if self.shard.is_whole:
            self.session.clear()
            self._counted = set()

    def _keep(self) -> None:
        """Bring the records of the images into the remote folder, if they have changed."""
        super()._keep()
        status = (self.path / IMAGES).stat()
        if (kept := (status.st_size, status.st_mtime_ns)) != self._kept:
            self.carry(IMAGES)
            self._kept = kept

    def _hear(self, line: bytes) -> None:
        """Take up what another shard noted of an image."""
        with suppress(ValueError, RecursionError):
            record = ImageRecord.from_line(line)
            if record.name not in self.records or not self.shard.has(record.name):
                self.records[record.name] = record

    def _add_up(self) -> None:
        """Add what sessions cost that have ended, and what they noticed, where it is not known."""
        self.costs = self._earlier
        for name, content in self.session.ends.items():
            with suppress(ValueError, KeyError, TypeError):
                plain = json.loads(content)
                notices = [*self.facts.get("notices", ()), *plain.get("notices", ())]
                self.facts["notices"] = list(dict.fromkeys(notices))
                if name not in self._counted:
                    self.costs = self.costs.plus(Costs.from_plain(plain["costs"]))

    def _see_identity(self) -> None:
        assert self.remote is not None
        with suppress(ValueError, KeyError, TypeError):
            if differences(json.loads(self.remote.read(RUN))["identity"], self.identity):
                what = "A run with other settings, classes or models has begun in the folder."
                fix = "Name another folder with --out."
                raise CannotWrite(what, fix=fix, where=Place(str(self.where)))


def open_output(path: Path, identity: dict[str, Any], shard: Shard = WHOLE) -> OutputFolder:
    """Return the output folder of a run, locked for it, on this machine or remote.

    Raises:
        BadOutput: it cannot be written, is in use, or holds other files or another run.
    """
    is_remote = isinstance(meant_path(path), RemotePath)
    return (RemoteOutputFolder if is_remote else OutputFolder)(path, identity, shard)
