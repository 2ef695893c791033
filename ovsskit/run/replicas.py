"""Run replicas on several devices of this machine, and hand them images until all are done.

A replica gets a few images at a time, so that all are busy to the end. What one had when it died is
done again, alone, by whoever comes next; an image over which processes die again and again fails.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any

from ovsskit.engine.notices import Silent, hearing
from ovsskit.errors import OvsskitError, ReplicasDied, reason_of
from ovsskit.run.output.folder import failed
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.replica import Replica, Work, share_processor

DEATHS = 3
"""How many processes may die over an image before it fails, or in a row before the run does."""
PAUSE = 1.0
"""Seconds after which is looked whether something else is due."""

log = logging.getLogger(__name__)


@dataclass
class _Process:
    """Hold a replica's process, and what it was given and has not finished."""

    device: str
    process: Any
    connection: Connection
    out: dict[str, ImageRecord] = field(default_factory=dict)
    next: list[ImageRecord] = field(default_factory=list)
    alone: bool = False
    in_windows: bool = False
    done: bool = False
    dead: bool = False


@dataclass
class Replicas:
    """Hand images to a replica on each of the devices.

    `finish` is told of each image that is done or has failed, `passed` of windows of rasters, and
    `look` is called now and then. The costs of all replicas are added up.
    """

    work: Work
    devices: Sequence[str]
    finish: Callable[[ImageRecord], None]
    passed: Callable[[ImageRecord, int, int], None]
    look: Callable[[], None]
    costs: Costs
    _left: dict[bool, Iterator[ImageRecord]] = field(default_factory=dict)
    _again: deque[tuple[bool, ImageRecord]] = field(default_factory=deque)
    _deaths: Counter[str] = field(default_factory=Counter)
    _in_a_row: int = 0

    def run(self, whole: Sequence[ImageRecord], rasters: Sequence[ImageRecord]) -> None:
        """Have all images done: whole ones, then rasters window by window.

        Raises:
            ReplicasDied: processes die again and again, and nothing gets done.
            OvsskitError: what a replica raised.
        """
        self._left = {False: iter(whole), True: iter(rasters)}
        count = min(len(self.devices), max(1, len(whole) + len(rasters)))
        at_work = [self._start(device) for device in self.devices[:count]]
        try:
            while at_work := [self._replaced(one) for one in at_work if not one.done]:
                ends = {one.connection: one for one in at_work}
                for end in wait([*ends], timeout=PAUSE):
                    self._hear(ends[end])  # type: ignore[index]  # they are connections
                self.look()
        finally:
            for one in at_work:
                one.process.kill()
                one.process.join()
                one.connection.close()

    def _start(self, device: str) -> _Process:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=serve, args=(theirs, self.work.on(device), len(self.devices)), daemon=True
        )
        process.start()
        theirs.close()
        return _Process(device, process, ours)

    def _replaced(self, one: _Process) -> _Process:
        """Return a process, or a new one in the place of one that died."""
        if not one.dead:
            return one
        one.process.join()
        self._in_a_row += 1
        status = one.process.exitcode
        log.warning("a process on %s died (exit status %s) and is replaced", one.device, status)
        for record in one.out.values():
            self._deaths[record.name] += 1
            if self._deaths[record.name] < DEATHS:
                self._again.append((one.in_windows, record))
            else:
                self.finish(failed(record, f"{DEATHS} processes died while processing it."))
        self._again += [(one.in_windows, record) for record in one.next]
        one.connection.close()
        if self._in_a_row >= DEATHS * len(self.devices):
            what = f"Processes die before they finish an image, the last with exit status {status}."
            raise ReplicasDied(what, fix="Run without --devices to see why.")
        return self._start(one.device)

    def _hear(self, one: _Process) -> None:
        try:
            kind, what = one.connection.recv()
        except (EOFError, OSError):  # all that it said is heard; it died
            one.dead = True
            return
        if kind == "next":
            one.connection.send(self._next(one))
        elif kind == "more":
            one.connection.send(self._give(one))
        elif kind == "finished":
            self._in_a_row = 0
            one.out.pop(what.name, None)
            self.finish(what)
        elif kind == "passed":
            self.passed(*what)
        elif kind == "notice":
            log.info("%s", what)
        elif kind == "costs":
            self.costs.stages = self.costs.plus(Costs(stages=what.stages)).stages
            peaks = self.costs.plus(what)
            self.costs.peak_memory = peaks.peak_memory
            self.costs.peak_device_memory = peaks.peak_device_memory
            one.done = True
            one.process.join()
            one.connection.close()
        else:
            raise what

    def _next(self, one: _Process) -> str:
        """Say what kind of images comes next; nothing if none is left."""
        one.alone = bool(self._again)
        if one.alone:
            one.in_windows, record = self._again.popleft()
            one.next = [record]
        else:
            for in_windows in (False, True):
                one.in_windows, one.next = in_windows, self._take(in_windows)
                if one.next:
                    break
        return ("rasters" if one.in_windows else "images") if one.next else ""

    def _give(self, one: _Process) -> list[ImageRecord]:
        """Return the next images of the kind that a replica is at; none where it shall ask anew."""
        given, one.next = one.next, []
        if not given and not one.alone:
            given = self._take(one.in_windows)
        one.out |= {record.name: record for record in given}
        return given

    def _take(self, in_windows: bool) -> list[ImageRecord]:
        return list(islice(self._left[in_windows], 1 if in_windows else self.work.batch))


def serve(connection: Connection, work: Work, replicas: int) -> None:
    """Be a replica: ask for images, and tell what becomes of them; end with whoever asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    speaking = threading.Lock()

    def tell(kind: str, what: object) -> None:
        with speaking:
            connection.send((kind, what))

    class Told(Silent):
        def notice(self, text: str) -> None:
            tell("notice", text)

    if work.options.device == "cpu":
        share_processor(replicas)
    try:
        with hearing(Told()):
            replica = Replica(
                work,
                lambda record: tell("finished", record),
                lambda *what: tell("passed", what),
            )
            while kind := _ask(tell, connection, "next"):
                more = iter(lambda: _ask(tell, connection, "more"), [])
                records = (record for given in more for record in given)
                replica.run(records, in_windows=kind == "rasters")
        tell("costs", replica.costs)
    except OvsskitError as error:
        tell("error", _plain(error))
    except Exception as error:  # stages may be anybody's
        tell("error", ReplicasDied(reason_of(error)))


def _ask(tell: Callable[[str, object], None], connection: Connection, kind: str) -> Any:
    tell(kind, None)
    return connection.recv()


def _plain(error: OvsskitError) -> OvsskitError:
    """Return an error as it can go to another process."""
    try:
        multiprocessing.reduction.ForkingPickler.dumps(error)
    except Exception:  # such as one that holds what a library raised
        return ReplicasDied(error.reason)
    return error


def _end_with(sentinel: int) -> None:
    """End this process when the other one ends, however it does."""
    wait([sentinel])
    os._exit(1)
