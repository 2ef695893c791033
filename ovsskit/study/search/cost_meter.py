"""The seconds and the memory of a candidate's stages, and what its judges give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ovsskit.engine.driver import State
from ovsskit.engine.memo import Memo
from ovsskit.engine.stage import Stage
from ovsskit.engine.store import Store
from ovsskit.study.search.memory import PeakMemory


@dataclass
class Costs:
    """Remember what stages took, so that results that were known are not taken for speed."""

    seconds: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def learn(self, stage: str, seconds: float, peak: int | None) -> None:
        """Keep the most that a stage took for an image."""
        self.seconds[stage] = max(seconds, self.seconds.get(stage, 0.0))
        if peak is not None:
            self.bytes[stage] = max(peak, self.bytes.get(stage, 0))


class CostMeter:
    """Watch the stages of a candidate: their seconds, peak memory, and rewards."""

    def __init__(
        self, costs: Costs, store: Store, memo: Memo, judges: set[str], last: str, device: str
    ) -> None:
        self.costs, self.store, self.judges, self.last = costs, store, judges, last
        self.memo, self._remembered = memo, (memo.hits, memo.misses)
        self.rewards: dict[str, list[float]] = {}
        self.images = 0
        self.seconds, self.peak = 0.0, None if (memory := PeakMemory.start(device)) is None else 0
        self._memory = memory
        self._runs: dict[str, int] = {}
        self._judging = False

    @property
    def megabytes(self) -> float | None:
        """Return the most memory that any stage needed, or None where the system does not tell."""
        return None if self.peak is None else self.peak / 1e6

    def next_group(self) -> None:
        """Begin with other images."""
        self.rewards.clear()
        self._judging = False

    def __call__(self, stage: Stage, states: Sequence[State], seconds: float) -> None:
        """Record what a stage wrote, its seconds and its memory."""
        peak = None if self._memory is None else self._memory.lap()
        hits, misses = self._remembered
        self._remembered = self.memo.hits, self.memo.misses
        if stage.address in self.judges:
            self.rewards[stage.address] = [float(state[stage.writes].data) for state in states]
        if (
            stage.address in self.judges or self._judging
        ):  # a judge may run the recipe again; that is not the recipe's cost
            return
        self._judging = stage.address == self.last
        key = repr(stage)
        if stage.batches:
            run = self.store.counts[stage.address].calls
            if run - self._runs.get(stage.address, 0) >= len(states):
                self.costs.learn(key, seconds / len(states), peak)
            self._runs[stage.address] = run
            known = True
        else:
            known = self.memo.hits > hits and self.memo.misses == misses
            if not known:
                self.costs.learn(key, seconds / len(states), peak)
        if known:
            seconds = max(seconds, self.costs.seconds.get(key, 0.0) * len(states))
            peak = None if peak is None else max(peak, self.costs.bytes.get(key, 0))
        self.seconds += seconds
        if peak is not None and self.peak is not None:
            self.peak = max(self.peak, peak)
