"""Ask stages, before anything runs, what of their settings cannot work with the stages and models that they stand with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ovsskit.engine.model import Backbone
from ovsskit.engine.stage import Stage, Wrapper
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadValue

Objection = tuple[str, str, BadValue]
"""The address of a stage, one of its parameters, and what is wrong with it."""


def check_inputs(stages: Sequence[Stage], vocabulary: Vocabulary, images: Sequence[Path]) -> None:
    """See that the stages of a chain can serve these classes and images.

    Raises:
        OvsskitError: one of them cannot.
    """
    for stage in stages:
        stage.check_inputs(vocabulary, images)
        if isinstance(stage, Wrapper):
            check_inputs(stage.inner, vocabulary, images)


def find_objections(
    stages: Sequence[Stage],
    models: Mapping[str, Backbone],
    links: Mapping[str, Mapping[str, str]],
    before: Sequence[Stage] = (),
) -> Iterator[Objection]:
    """Yield what the stages of a chain object to; `links` says which models each stage reads, by its address."""
    for index, stage in enumerate(stages):
        ahead = [*before, *stages[:index]]
        read = {
            one.address: [
                models[name] for name in links.get(one.address, {}).values() if name in models
            ]
            for one in ahead
        }
        for address, parameter, what, there in stage.objections(
            [(one, read[one.address]) for one in ahead]
        ):
            yield address, parameter, BadValue(what, there=there)
        if isinstance(stage, Wrapper):
            yield from find_objections(stage.inner, models, links, ahead)
