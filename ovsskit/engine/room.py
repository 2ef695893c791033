"""Give networks as many items at once as a device's memory holds, by what earlier ones took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ovsskit._lazy import torch
from ovsskit.engine.devices import memory_of
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Value

FIRST = 4
"""How many items a network gets of which nothing is known."""
SHARE = 0.8
"""Of the free memory, what is given away: parts of it lie between others, and are too small."""

Kind = tuple[str, int]
"""Items that take about the same: of one stage, and of a size up to the next power of two."""


@dataclass
class Room:
    """Measure what items take of a device's memory, and say how many of the next ones fit.

    An item takes no more than what the peak was above the memory in use before, shared among those
    that ran together. That is too much where another stage made the peak, and is seen to be so
    when more run together. Of a device that does not tell its memory nothing is known.
    """

    device: str
    costs: dict[Kind, int] = field(default_factory=dict)

    def most(self, stage: Stage, items: Sequence[Mapping[str, Any]]) -> int:
        """Return how many of the next items fit, at least one; all where nothing is told."""
        memory = memory_of(self.device)
        if memory is None:
            return len(items)
        known = [self.costs.get(kind_of(stage, item)) for item in items]
        count, left = 0, int(memory.free * SHARE)
        for cost in known:
            if cost is None and count >= FIRST:
                break
            left -= cost or 0
            if left < 0:
                break
            count += 1
        return max(1, count)

    def used(self) -> int:
        """Return the bytes in use now, to be told to `note` after a stage has run."""
        memory = memory_of(self.device)
        return 0 if memory is None else memory.used

    def note(self, stage: Stage, items: Sequence[Mapping[str, Any]], before: int) -> None:
        """Learn from items that ran together, with so many bytes in use before."""
        memory = memory_of(self.device)
        if memory is None:
            return
        cost = max(0, memory.peak - before) // len(items) + 1
        for kind in {kind_of(stage, item) for item in items}:
            self.costs[kind] = min(cost, self.costs.get(kind, cost))

    def forget(self, stage: Stage) -> None:
        """Know nothing of a stage any more: memory ran out, so that what was known was wrong."""
        self.costs = {kind: cost for kind, cost in self.costs.items() if kind[0] != stage.address}


def kind_of(stage: Stage, item: Mapping[str, Any]) -> Kind:
    """Return what an item takes follows from: the stage, and about how large its inputs are."""
    total = 0
    for value in item.values():
        if isinstance(value, Value):
            tensors = (getattr(value, one.name) for one in fields(value))
            total += sum(one.nbytes for one in tensors if isinstance(one, torch.Tensor))
    return stage.address, total.bit_length()
