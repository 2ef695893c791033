"""The space of a study: which parameters of a recipe are searched, and between which values.

    [space]
    "threshold.at"        = { low = 0.05, high = 0.5 }
    "gaussian_blur.sigma" = { low = 0.01, high = 0.1, log = true }
    "select_head.layer"   = { choices = [6, 7, 8, 9] }
    "dense_crf"           = { choices = ["on", "off"] }

An address alone is a stage to switch: off, a stage is left out, and a wrapper gets the settings at
which it equals its inner chain. Parameters of a stage that a trial leaves out are not searched in
that trial.

An address that ends in a star stands for all classes: `"threshold.at_class.*"` is a dimension for
every class that is looked for, which is known when the study begins.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ovsskit.engine.objections import check_names
from ovsskit.engine.stage import Stage, per_class, walk
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadSpace
from ovsskit.recipe.build import Recipe
from ovsskit.recipe.describe import toml
from ovsskit.study.spec.dimension import ALL, Dimension

if TYPE_CHECKING:
    import optuna


def suggest(space: Sequence[Dimension], trial: optuna.Trial) -> dict[str, Any]:
    """Return a trial's values by address; those of stages that it leaves out are left out."""
    values: dict[str, Any] = {}
    for one in sorted(space, key=lambda one: one.kind != "switch"):
        if one.kind == "switch" or values.get(one.owner) != "off":
            values[one.address] = one.suggest(trial)
    return values


def grid(space: Sequence[Dimension]) -> Iterator[dict[str, Any]]:
    """Yield every point of a space without continuous ranges once, less what switches leave out."""
    seen = set()
    for point in itertools.product(
        *([(one.address, value) for value in one.values() or ()] for one in space)
    ):
        values = dict(point)
        off = {address for address, value in values.items() if value == "off"}
        kept = {
            one.address: values[one.address]
            for one in space
            if one.kind == "switch" or one.owner not in off
        }
        key = tuple((address, toml(value)) for address, value in kept.items())
        if key not in seen:
            seen.add(key)
            yield kept


def grid_size(space: Sequence[Dimension]) -> int | None:
    """Return how many points a grid has at most, or None if a range is continuous."""
    size = 1
    for one in space:
        values = one.values()
        if values is None:
            return None
        size *= len(values)
    return size


def find_stage_of(stages: Sequence[Stage], address: str) -> Stage | None:
    """Return the stage of an address, inside wrappers too."""
    return next((stage for stage in walk(stages) if stage.address == address), None)


def present_value(recipe: Recipe, one: Dimension) -> Any:
    """Return what a recipe has at a dimension, or None; a stage that is there is `on`."""
    stage = find_stage_of(recipe.plan.stages, one.owner)
    if one.kind == "switch":
        return "on" if stage is not None else None
    if one.of_class and stage is not None:
        otherwise = getattr(stage, per_class(type(stage))[one.key].otherwise)
        return getattr(stage, one.key).get(one.of_class, otherwise)
    model = recipe.plan.models.get(one.owner.removeprefix("models."))
    sections = {"vocabulary": recipe.vocabulary, "input": recipe.input}
    return getattr(stage or model or sections.get(one.owner), one.key, None)


def for_classes(
    space: Sequence[Dimension], vocabulary: Vocabulary, fixed: Mapping[str, Any]
) -> tuple[Dimension, ...]:
    """Return a space in which every star is a dimension for each class.

    Classes that have their own line in the space, or are set, keep it.

    Raises:
        BadSpace: a class is named that is not looked for, or no class has synonyms to choose from.
    """
    own = {one.address for one in space if one.of_class != ALL} | {*fixed}
    own |= {
        f"{address}.{name}"
        for address, value in fixed.items()
        if isinstance(value, Mapping)
        for name in value
    }
    found: list[Dimension] = []
    for one in space:
        if one.of_class and one.of_class != ALL:
            check_names([one.of_class], vocabulary, one.place)
        found += _for_each(one, vocabulary, own) if one.of_class == ALL else [one]
    return tuple(found)


def _for_each(one: Dimension, vocabulary: Vocabulary, own: Container[str]) -> Iterator[Dimension]:
    others = vocabulary.synonyms or ((),) * len(vocabulary.names)
    words = dict(zip(vocabulary.names, others, strict=True))
    if one.synonyms and not any(others):
        what = f"`{one.address}` chooses among synonyms, but no class has any."
        fix = 'Give some after commas: classes = ["dog, puppy"]. Or remove it.'
        raise BadSpace(what, fix=fix, where=one.place)
    for name, more in words.items():
        address = f"{one.parameter}.{name}"
        if address not in own and (more or not one.synonyms):
            choices = (*one.choices, *(more if one.synonyms else ()))
            yield replace(one, address=address, of_class=name, choices=choices, synonyms=False)
