"""Find, before anything runs, what cannot work with the stages and models of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ovsskit.engine.model import Backbone
from ovsskit.engine.stage import Demand, Rerun, Stage, Wrapper, walk, wiring
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadValue

Objection = tuple[str, str, BadValue]
"""The address of a stage, one of its parameters, and what is wrong with it."""


def check_inputs(stages: Sequence[Stage], vocabulary: Vocabulary, images: Sequence[Path]) -> None:
    """Check that the stages of a chain can serve these classes and images.

    Raises:
        OvsskitError: one of them cannot.
    """
    for stage in walk(stages):
        stage.check_inputs(vocabulary, images)


def find_objections(
    stages: Sequence[Stage],
    models: Mapping[str, Backbone],
    links: Mapping[str, Mapping[str, str]],
    before: Sequence[Stage] = (),
) -> Iterator[Objection]:
    """Yield demands that are not met; `links` says by address which models each stage reads."""
    for index, stage in enumerate(stages):
        ahead = [*before, *stages[:index]]
        for name, mark in wiring(type(stage)).marks:
            if isinstance(mark, Demand):
                slot = stage.reads.get(name, name)
                writers = [one for one in ahead if one.writes == slot]
                read = [name for one in writers for name in links.get(one.address, {}).values()]
                known = [models[name] for name in read if name in models]
                yield from _unmet(stage, slot, mark, writers, known)
        if isinstance(stage, Wrapper) and not isinstance(stage, Rerun):
            yield from find_objections(stage.inner, models, links, ahead)


def _unmet(
    stage: Stage, slot: str, demand: Demand, writers: Sequence[Stage], models: Sequence[Backbone]
) -> Iterator[Objection]:
    """Yield the layers taken of a slot that do not meet a demand."""
    for one in writers if models else ():
        for parameter, layer in one.taken(slot):
            if unmet := demand.unmet(models[-1], layer):
                what = f"{one.address}.{parameter} is {layer}, and {unmet[0]}."
                there = f"Layers that {stage.address} can take: {unmet[1]}"
                yield one.address, parameter, BadValue(what, there=there)
