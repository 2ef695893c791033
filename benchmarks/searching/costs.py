"""What candidates of a study cost, counted: the stages that run, by what each takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from ovsskit.engine.wiring import Link, flatten
from ovsskit.study.spec.dimension import Dimension
from searching.table import Judging, key_of


@dataclass
class Costs:
    """Say what candidates cost in plain runs, one after the other, as a study's store saves calls.

    `seconds` are those of each stage, over all images. `depends` are the parameters that a stage's
    results follow from. `kept` are stages whose results the store keeps: they run once for the same
    values of these parameters. `judges` are stages that a plain run does not have.
    """

    seconds: Mapping[str, float]
    depends: Mapping[str, frozenset[str]]
    kept: frozenset[str]
    judges: frozenset[str]
    _seen: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, judging: Judging) -> Costs:
        """Measure the stages on a grid that was judged: medians over the points that ran them."""
        plan = judging.evaluator.pipeline({}, judging.plan.search.objectives).plan
        links = [*flatten(plan.links)]
        kept = frozenset(link.node.address for link in links if link.node.cls.batches)  # type: ignore[union-attr]
        depends: dict[str, frozenset[str]] = {}
        follow(plan.links, judging.plan.search.space, {}, depends)
        costs = cls({}, depends, kept - {*judging.rewards}, frozenset(judging.rewards))
        found: dict[str, list[float]] = {}
        for point in judging.points():
            for stage in costs.run(point):
                found.setdefault(stage, []).append(judging.judge(point).seconds.get(stage, 0.0))
        return cls(
            {stage: median(some) for stage, some in found.items()},
            depends,
            costs.kept,
            costs.judges,
        )

    @property
    def plain(self) -> float:
        """Return the seconds of a plain run, without any judge."""
        return sum(some for stage, some in self.seconds.items() if stage not in self.judges)

    def afresh(self) -> Costs:
        """Return the costs of a study that begins, whose store is empty."""
        return Costs(self.seconds, self.depends, self.kept, self.judges)

    def run(self, values: Mapping[str, Any]) -> list[str]:
        """Return the stages that a candidate runs, and remember what the store keeps of it."""
        stages = []
        for stage, addresses in self.depends.items():
            known = stage, key_of({one: values[one] for one in addresses if one in values})
            if known not in self._seen:
                stages.append(stage)
            if stage in self.kept:
                self._seen.add(known)
        return stages

    def spend(self, values: Mapping[str, Any]) -> float:
        """Return what a candidate costs after those before it, in plain runs."""
        return sum(self.seconds[stage] for stage in self.run(values)) / self.plain


def follow(
    links: Sequence[Link],
    space: Sequence[Dimension],
    slots: dict[str, frozenset[str]],
    depends: dict[str, frozenset[str]],
) -> None:
    """Note the parameters that each stage of a chain follows from, and each slot that it writes.

    What is inside a wrapper follows from all that the wrapper does, since it may run in rounds.
    """
    for link in links:
        inside = [*flatten([link])]
        owners = {one.node.address for one in inside}
        read = {slot for one in inside for slot, _, _ in one.reads.values()}
        found = {one.address for one in space if one.owner in owners}
        found.update(*(slots.get(slot, ()) for slot in read))
        for one in inside:
            depends[one.node.address] = frozenset(found)
        slots[link.writes[0]] = frozenset(found)
