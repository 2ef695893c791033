"""Drive a wired chain over many images at once, level by level, in batches that memory can hold.

With a store, every value gets a key, made of the stage that writes it and the keys of what that
stage reads. What a network wrote under a key before is taken from the store, and only the rest is
batched and run.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ovsskit._version import __version__
from ovsskit.engine.devices import free_memory_of, is_out_of_memory, wait_for
from ovsskit.engine.identity import model_identity, stage_identity
from ovsskit.engine.room import Room
from ovsskit.engine.stage import Rerun, Slots, Stage, Wrapper, own_slot, wiring
from ovsskit.engine.store import Store
from ovsskit.engine.values import Spatial, Value, Window
from ovsskit.errors import OutOfMemory
from ovsskit.files.digests import digest_texts

State = dict[str, Any]
"""The slots of one image while a recipe runs."""

log = logging.getLogger(__name__)


Watch = Callable[[Stage, Sequence[State], float], None]
"""See what a stage wrote, as soon as it did: the stage, the states after it, its own seconds.

On a GPU these are the seconds of the stage's work only where the driver is `timed`.
"""


@dataclass(frozen=True)
class Known:
    """Hold what a stage wrote, its inputs, and its identity with the content of its files."""

    identity: dict[str, Any]
    inputs: State
    value: Any


@dataclass
class Driver:
    """Run chains of stages; `batch` is the largest number of items that a network sees at once.

    A wrapper's requests for all images are gathered, so that windows, views and images share
    batches. Networks get no more items at once than `room` says that memory holds. When it runs out
    all the same, they get fewer from then on, and `batch` says how many. What follows from the
    vocabulary and the models alone, such as text features, is computed once for all images and kept
    in `known`. With `timed` the driver waits for the device after every stage, so that work counts
    with the stage that asked for it.
    """

    models: dict[str, Any]
    links: dict[str, dict[str, str]]
    batch: int = 8
    watch: Watch | None = None
    store: Store | None = None
    device: str = "cpu"
    timed: bool = False
    known: dict[str, Known] = field(default_factory=dict)
    room: Room = field(default_factory=lambda: Room("cpu"))
    inner_seconds: float = field(default=0.0, init=False)
    _identities: dict[int, str] = field(default_factory=dict, init=False)

    def run(
        self,
        stages: Sequence[Stage],
        states: Sequence[State],
        shared: frozenset[str] = frozenset({"vocabulary"}),
    ) -> list[State]:
        """Return the states after all stages, in the same order.

        `shared` are slots that hold nothing of an image.

        Raises:
            OutOfMemory: one item alone does not fit.
        """
        current = list(states)
        for stage in stages:
            spent, start = self.inner_seconds, time.perf_counter()
            # What is replaced is given back before the next image's is computed, unless images
            # share a batch.
            size = max(len(current), 1) if stage.batches or isinstance(stage, Wrapper) else 1
            for first in range(0, len(current), size):
                self._advance(stage, current, slice(first, first + size), shared)
            shared = (
                shared | {stage.writes} if _reads_only(stage, shared) else shared - {stage.writes}
            )
            if self.watch is not None:
                if self.timed:
                    wait_for(self.device)
                seconds = time.perf_counter() - start - (self.inner_seconds - spent)
                self.inner_seconds += seconds
                self.watch(stage, current, seconds)
        return current

    def _advance(
        self, stage: Stage, states: list[State], some: slice, shared: frozenset[str]
    ) -> None:
        """Run a stage on some of the states, and put what it writes into them."""
        if self.store is None:
            values = self._fresh(stage, states[some], shared)
        else:
            values = self._recall(self.store, stage, states[some], shared)
        states[some] = [
            {**state, stage.writes: value}
            for state, value in zip(states[some], values, strict=True)
        ]

    def _recall(
        self, store: Store, stage: Stage, states: Sequence[State], shared: frozenset[str]
    ) -> list[Any]:
        """Take from the store what was computed before; of states with the same key, run one."""
        keys = [self._key(store, stage, state) for state in states]
        if stage.batches:
            found = {key: store.find(key, self.device) for key in dict.fromkeys(keys)}
            missing = {
                key: state for key, state in zip(keys, states, strict=True) if found[key] is None
            }
            for key, value in zip(
                missing, self._fresh(stage, list(missing.values()), shared), strict=True
            ):
                found[key] = value
                store.keep(key, value)
            store.note(stage.address, calls=len(missing), hits=len(keys) - len(missing))
            values: list[Any] = [found[key] for key in keys]
        else:
            values = self._fresh(stage, states, shared)
        for key, value in zip(keys, values, strict=True):
            store.digests.mark(value, key)
        return values

    def _key(self, store: Store, stage: Stage, state: State) -> str:
        if id(stage) not in self._identities:
            self._identities[id(stage)] = json.dumps(
                [__version__, self._identify(stage)], sort_keys=True
            )
        slots = sorted(reads_from_outside(stage) & state.keys())
        return digest_texts(
            [
                self._identities[id(stage)],
                *(f"{slot}={store.digests.of(state[slot])}" for slot in slots),
            ]
        )

    def _identify(self, stage: Stage) -> dict[str, Any]:
        """Return what a stage's results follow from besides its slots, not where weights lie."""
        unasked = ("address", "writes")  # neither changes what is written
        identity = {key: item for key, item in stage_identity(stage).items() if key not in unasked}
        models = {
            name: model_identity(self.models[slot])
            for name, slot in self.links.get(stage.address, {}).items()
        }
        for model in models.values():
            for name in ("weights", "revision"):  # where they lie, not what they are
                model.pop(name, None)
        inner = [self._identify(one) for one in stage.inner] if isinstance(stage, Wrapper) else []
        return {**identity, "models": models, "inner": inner}

    def _fresh(self, stage: Stage, states: Sequence[State], shared: frozenset[str]) -> list[Any]:
        if isinstance(stage, Wrapper):
            return self._wrap(stage, states, shared)
        return (
            self._once(stage, states) if _reads_only(stage, shared) else self._plain(stage, states)
        )

    def _once(self, stage: Stage, states: Sequence[State]) -> list[Any]:
        """Run a stage that sees nothing of the image, once for the very same inputs and files."""
        identity, values = stage_identity(stage), []
        for state in states:
            inputs = self._inputs(stage, state)
            known = self.known.get(stage.address)
            if (
                known is None
                or known.identity != identity
                or any(known.inputs[name] is not inputs[name] for name in inputs)
            ):
                known = self.known[stage.address] = Known(
                    identity, inputs, self._plain(stage, [state])[0]
                )
            values.append(known.value)
        return values

    def _plain(self, stage: Stage, states: Sequence[State]) -> list[Any]:
        """Run a stage on as many states at once as memory holds.

        Raises:
            OutOfMemory: one alone does not fit.
        """
        inputs = [self._inputs(stage, state) for state in states]
        values: list[Any] = []
        size = self.batch if stage.batches else 1
        while len(values) < len(inputs):
            group = inputs[len(values) : len(values) + size]
            if stage.batches:
                group = group[: self.room.most(stage, group)]
            before = self.room.used()
            found = _run_unless_full(stage, group)
            if not isinstance(found, Full):
                values += found
                if stage.batches:
                    self.room.note(stage, group, before)
                if stage.batches and size < self.batch:
                    self._stay_at(size, stage)
                continue
            free_memory_of(self.device)
            self.room.forget(stage)
            if len(group) == 1:
                raise OutOfMemory(
                    f"{stage.address} does not fit into memory with one item at a time.",
                    there=found.reason,
                    fix="Use a smaller image size, a smaller model, or --device cpu.",
                )
            size = len(group) // 2
        return values

    def _stay_at(self, size: int, stage: Stage) -> None:
        log.warning(
            "memory ran out in %s; from now on networks get %d items at once, as with --batch %d",
            stage.address,
            size,
            size,
        )
        self.batch = size

    def _wrap(self, stage: Wrapper, states: Sequence[State], shared: frozenset[str]) -> list[Any]:
        """Advance the generators of all images together: one run of the inner chain a round."""
        inside = [_inside(stage, state) for state in states]
        slots = _slots(stage)
        shared = shared.difference(slots) | {name for name, slot in slots.items() if slot in shared}
        runs = [stage.run(**self._inputs(stage, state)) for state in states]
        wanted = [next(run) for run in runs]
        results: list[Any] = [None] * len(runs)
        active = list(range(len(runs)))
        while active:
            overrides = [_override(stage, inside[i], one) for i in active for one in wanted[i]]
            counts = [len(wanted[i]) for i in active]
            states = [
                inside[i] for i, count in zip(active, counts, strict=True) for _ in range(count)
            ]
            requests = [{**one, **new} for one, new in zip(states, overrides, strict=True)]
            outs = self._inner(stage, requests, shared.difference(*overrides))
            still = []
            for i, count in zip(active, counts, strict=True):
                mine, outs = outs[:count], outs[count:]
                try:
                    wanted[i] = runs[i].send(mine)
                    still.append(i)
                except StopIteration as stop:
                    results[i] = stop.value
            active = still
        return results

    def _inner(
        self, stage: Wrapper, requests: Sequence[State], shared: frozenset[str]
    ) -> list[Slots]:
        """Run the inner chain batch by batch, and keep only what the wrapper merges."""
        outs: list[Slots] = []
        kept = {own_slot(type(stage)), *stage.sees}
        if isinstance(stage, Rerun):
            kept = _slots(stage).keys() & {one.writes for one in stage.inner}
        while len(outs) < len(requests):
            group = requests[len(outs) : len(outs) + self.batch]
            outs += [
                {slot: state[slot] for slot in kept}
                for state in self.run(stage.inner, group, shared)
            ]
        return outs

    def _inputs(self, stage: Stage, state: State) -> State:
        optional = wiring(type(stage)).optional
        values = {
            name: state.get(slot) if name in optional else state[slot]
            for name, slot in _slots(stage).items()
        }
        return {
            **values,
            **{name: self.models[slot] for name, slot in self.links.get(stage.address, {}).items()},
        }


@dataclass(frozen=True)
class Full:
    """Say in the device's own words that memory ran out."""

    reason: str


def _override(
    stage: Wrapper, inside: State, wanted: Mapping[str, Value] | Window
) -> Mapping[str, Value]:
    """Return what the inner chain sees in place of what the wrapper saw."""
    if not isinstance(wanted, Window):
        return wanted
    found = {slot: inside.get(slot) for slot in read_inside(stage)}
    parts = {
        slot: (one, one.crop(wanted)) for slot, one in found.items() if isinstance(one, Spatial)
    }
    return {slot: part for slot, (one, part) in parts.items() if part is not one}


def _run_unless_full(stage: Stage, group: Sequence[State]) -> Sequence[Any] | Full:
    """Run a stage; if memory runs out, hold no traceback, which would hold all its tensors."""
    try:
        return run_together(stage, group)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return Full(str(error).split("\n")[0][:300])


def run_together(stage: Stage, many: Sequence[Slots]) -> Sequence[Any]:
    """Return what a stage writes for several images, in one batch if it batches."""
    if not stage.batches:
        return [stage.run(**slots) for slots in many]
    models = wiring(type(stage)).models
    return stage.run_batch(
        **{
            name: value if name in models else [slots[name] for slots in many]
            for name, value in many[0].items()
        }
    )


def reads_from_outside(stage: Stage) -> set[str]:
    """Return the slots that a stage reads, and those that the chain inside reads from outside."""
    own = _slots(stage)
    inside = read_inside(stage) if isinstance(stage, Wrapper) else set()
    return set(own.values()) | (inside - own.keys())


def read_inside(wrapper: Wrapper) -> set[str]:
    """Return the slots that an inner chain reads from outside, by their names inside."""
    slots, written = set[str](), set[str]()
    for inner in wrapper.inner:
        slots |= reads_from_outside(inner) - written
        written.add(inner.writes)
    return slots


def _slots(stage: Stage) -> dict[str, str]:
    """Return the slot that each parameter of a stage reads."""
    return {name: stage.reads.get(name, name) for name in wiring(type(stage)).reads}


def _inside(wrapper: Wrapper, state: State) -> State:
    """Return what the inner chain sees: what the wrapper reads, under its names, and all else."""
    slots = _slots(wrapper)
    others = {slot: value for slot, value in state.items() if slot not in slots}
    return {**others, **{name: state[slot] for name, slot in slots.items() if slot in state}}


def _reads_only(stage: Stage, slots: frozenset[str]) -> bool:
    """Say whether a stage that is not a wrapper reads only these slots."""
    return not isinstance(stage, Wrapper) and slots.issuperset(_slots(stage).values())
