"""Read the table [space] of a study: its dimensions, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ovsskit.engine.stage import Wrapper, per_class, walk
from ovsskit.errors import BadSpace, Place, UnknownKey, did_you_mean, report
from ovsskit.recipe.addresses import split_address
from ovsskit.recipe.build import Recipe
from ovsskit.recipe.describe import toml
from ovsskit.recipe.shapes import DIMENSION_KEYS
from ovsskit.recipe.toml_lines import Table
from ovsskit.study.spec.dimension import ALL, SWITCH, Dimension, is_number
from ovsskit.study.spec.space import find_stage_of

SYNONYMS = "synonyms"
"""The choices that are every class's own words."""


def read_space(space: Table, recipe: Recipe) -> tuple[Dimension, ...]:
    """Return the dimensions of a space; what is wrong with one itself is reported.

    Whether the recipe takes the values is for the plan to see, by building it with each.
    """
    if not space:
        fix = 'Add a table [space] with lines such as "threshold.at" = { low = 0.1, high = 0.5 }.'
        report(BadSpace("The study has no space to search.", fix=fix, where=space.place))
    found = [
        _dimension(address, entry, space.place_of(address), recipe)
        for address, entry in space.items()
    ]
    return tuple(one for one in found if one is not None)


def _dimension(address: str, entry: Any, place: Place, recipe: Recipe) -> Dimension | None:
    if not isinstance(entry, Mapping):
        fix = f'Write "{address}" = {{ low = ..., high = ... }} or {{ choices = [...] }}.'
        what = f"`{address}` is {toml(entry)}, which is not a range."
        report(BadSpace(what, fix=fix, where=place))
        return None
    unknown = [key for key in entry if key not in DIMENSION_KEYS]
    for key in unknown:
        what, fix = f"`{address}` has no key `{key}`.", did_you_mean(key, DIMENSION_KEYS)
        there = f"Available: {', '.join(DIMENSION_KEYS)}"
        report(UnknownKey(what, there=there, fix=fix, where=place))
    if unknown:
        return None
    try:
        if "." not in address:
            return _switch(address, entry, place, recipe)
        base = Dimension(address, "choice", place, of_class=_class_of(address, recipe))
        return (_choices if "choices" in entry else _range)(base, entry, recipe)
    except BadSpace as error:
        error.where = place
        report(error)
        return None


def _switch(
    address: str, entry: Mapping[str, Any], place: Place, recipe: Recipe
) -> Dimension | None:
    stage = find_stage_of(recipe.plan.stages, address)
    if stage is not None:  # else the plan reports that there is no such stage
        on_off = sorted(map(toml, SWITCH))
        if list(entry) != ["choices"] or sorted(map(toml, entry["choices"])) != on_off:
            what = f"`{address}` is a stage, which can only be on or off."
            raise BadSpace(what, fix=f'"{address}" = {{ choices = ["on", "off"] }}')
        if isinstance(stage, Wrapper) and not stage.neutral:
            why = "it has no settings at which it changes nothing"
            raise BadSpace(f"`{address}` cannot be switched off: {why}.")
    return Dimension(address, "switch", place, choices=SWITCH)


def _class_of(address: str, recipe: Recipe) -> str:
    """Return the class, or the star, that an address ends in."""
    stages = {stage.address: stage for stage in walk(recipe.plan.stages)}
    owner, key, name = split_address(
        address, lambda one: type(stages[one]) if one in stages else None
    )
    if not name and key == ALL and (stage := stages.get(owner.rpartition(".")[0])):
        known = [f"{stage.address}.{field}.{ALL}" for field in per_class(type(stage))]
        there = f"With a value for each class: {', '.join(known)}" if known else ""
        raise BadSpace(f"`{owner}` has one value for all classes.", there=there)
    return name


def _choices(base: Dimension, entry: Mapping[str, Any], recipe: Recipe) -> Dimension:
    choices, address = entry["choices"], base.address
    stage = find_stage_of(recipe.plan.stages, base.owner)
    synonyms = choices == SYNONYMS and base.of_class == ALL and _kinds(recipe, base) == {"string"}
    if synonyms and stage is not None:
        field = per_class(type(stage))[base.key].otherwise
        choices = type(stage).model_json_schema()["properties"][field]["enum"]
    if not isinstance(choices, list) or not choices:
        what, fix = "has nothing to choose from", "Give a list of values: choices = [1, 2, 3]."
        raise BadSpace(f"`{address}` {what}.", fix=fix)
    if len({toml(choice) for choice in choices}) < len(choices):
        raise BadSpace(f"`{address}` names a choice twice.")
    if len(entry) > 1:
        raise BadSpace(f"`{address}` has both choices and a range.", fix="Keep one of them.")
    return replace(base, choices=tuple(choices), synonyms=synonyms)


def _range(base: Dimension, entry: Mapping[str, Any], recipe: Recipe) -> Dimension:
    found: list[Any] = [entry.get(key) for key in ("low", "high", "step", "log")]
    low, high, step, log = found
    kinds = _kinds(recipe, base) & {"integer", "number"}
    if wrong := _wrong_range(low, high, step, log, kinds):
        raise BadSpace(f"`{base.address}` {wrong[0]}.", fix=wrong[1])
    if kinds == {"integer"}:
        return replace(base, kind="int", low=low, high=high, step=step, log=bool(log))
    step = None if step is None else float(step)
    return replace(base, kind="float", low=float(low), high=float(high), step=step, log=bool(log))


def _wrong_range(
    low: Any, high: Any, step: Any, log: Any, kinds: set[str]
) -> tuple[str, str] | None:
    """Return what is wrong with a range, and what would fix it."""
    if not is_number(low) or not is_number(high):
        return "needs numbers as `low` and `high`, or `choices`", ""
    if low == high:
        return f"goes from {low} to {high}: there is nothing to search", "Set it instead: --set."
    if low > high:
        return f"goes from {low} down to {high}", "Swap `low` and `high`."
    if not isinstance(log, bool | None):
        return f"has log = {toml(log)}; it must be true or false", ""
    if log and low <= 0:
        return f"is logarithmic but begins at {low}", "Begin above 0, or remove `log`."
    if step is not None and (not is_number(step) or not 0 < step <= high - low):
        return f"has a step of {toml(step)}; it must be above 0 and fit into the range", ""
    if log and step is not None:
        return "has both `step` and `log`", "Keep one of them."
    whole = all(isinstance(value, int) for value in (low, high, step) if value is not None)
    if kinds == {"integer"} and not whole:
        return f"is a whole number, but {low} to {high} is not", "Give whole numbers."
    return None if kinds else ("is not a number, so it has no range", "Give `choices`.")


def _kinds(recipe: Recipe, one: Dimension) -> set[str]:
    """Return what JSON Schema calls the values of a parameter; numbers, of an unknown one."""
    model = recipe.plan.models.get(one.owner.removeprefix("models."))
    holder = find_stage_of(recipe.plan.stages, one.owner) or model
    schema = type(holder).model_json_schema()["properties"].get(one.key) if holder else None
    if schema is None:
        return {"integer", "number"}
    schema = schema["additionalProperties"] if one.of_class else schema
    return {each.get("type") for each in schema.get("anyOf", [schema])}
