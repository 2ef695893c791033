"""Find, before anything runs, what cannot work with the stages and models of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ovsskit.engine.model import Backbone
from ovsskit.engine.stage import Demand, Rerun, Stage, Wrapper, per_class, walk, wiring
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadClasses, BadValue, Place, did_you_mean, first_of

Objection = tuple[str, str, BadValue]
"""The address of a stage, one of its parameters, and what is wrong with it."""


def check_inputs(stages: Sequence[Stage], vocabulary: Vocabulary, images: Sequence[Path]) -> None:
    """Check that the stages of a chain can serve these classes and images.

    Raises:
        OvsskitError: one of them cannot.
    """
    check_classes(stages, vocabulary)
    for stage in walk(stages):
        stage.check_inputs(vocabulary, images)


def check_classes(stages: Sequence[Stage], vocabulary: Vocabulary) -> None:
    """Check that what has a value of its own in a chain is a class.

    Raises:
        BadClasses: something is not.
    """
    for stage in walk(stages):
        for field in per_class(type(stage)):
            check_names(getattr(stage, field), vocabulary, Place(f"{stage.address}.{field}"))


def check_names(named: Iterable[str], vocabulary: Vocabulary, where: Place) -> None:
    """Check that what is named are classes.

    Raises:
        BadClasses: something is not.
    """
    for name in named:
        if name not in vocabulary.names:
            what = f"It has a value for `{name}`, which is not one of the classes."
            there = f"The classes are: {first_of(list(vocabulary.names))}"
            fix = did_you_mean(name, list(vocabulary.names))
            raise BadClasses(what, there=there, fix=fix, where=where)


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
            yield from _cut_up(stage)
            yield from find_objections(stage.inner, models, links, ahead)


def _cut_up(wrapper: Wrapper) -> Iterator[Objection]:
    """Yield stages that must see the image as it was read, and stand where it is not."""
    for one in _seen_through(wrapper) if wrapper.places != "kept" else ():
        if one.whole:
            what = f"{one.address} must see the image as it was read, but {wrapper.address} shows"
            fix = f"Put it before or after {wrapper.address}."
            yield one.address, "use", BadValue(f"{what} parts or copies of it.", fix=fix)


def _seen_through(wrapper: Wrapper) -> Iterator[Stage]:
    """Yield the stages inside a wrapper, but for those inside others that say it themselves."""
    for stage in wrapper.inner:
        yield stage
        if isinstance(stage, Wrapper) and stage.places == "kept":
            yield from _seen_through(stage)


def _unmet(
    stage: Stage, slot: str, demand: Demand, writers: Sequence[Stage], models: Sequence[Backbone]
) -> Iterator[Objection]:
    """Yield the layers taken of a slot that do not meet a demand."""
    for one in writers if models else ():
        for parameter, layer in one.taken(slot):
            if unmet := demand.unmet(models[-1], layer):
                what = f"{one.address}.{parameter} is {layer}, but {unmet[0]}."
                there = f"Layers that {stage.address} can take: {unmet[1]}"
                yield one.address, parameter, BadValue(what, there=there)
