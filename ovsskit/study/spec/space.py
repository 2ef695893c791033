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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ovsskit.engine.objections import check_names
from ovsskit.engine.stage import Stage, Wrapper, per_class, walk
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadSpace, Place, UnknownKey, did_you_mean, report
from ovsskit.recipe.addresses import split_address
from ovsskit.recipe.build import Recipe
from ovsskit.recipe.describe import toml
from ovsskit.recipe.shapes import DIMENSION_KEYS
from ovsskit.recipe.toml_lines import Table

if TYPE_CHECKING:
    import optuna

MOST_VALUES = 1_000_000
SWITCH = ("on", "off")
ALL = "*"
"""What stands for every class at the end of an address."""
SYNONYMS = "synonyms"
"""The choices that are every class's own words."""
Kind = Literal["float", "int", "choice", "switch"]


@dataclass(frozen=True)
class Dimension:
    """Hold one searched parameter: its address, and its range or its choices.

    `of_class` is the class whose value it is, if the parameter has one for each, or a star for all
    classes; with `synonyms` the words of the class are choices, too.
    """

    address: str
    kind: Kind
    place: Place
    low: int | float = 0
    high: int | float = 0
    step: int | float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    of_class: str = ""
    synonyms: bool = False

    @property
    def parameter(self) -> str:
        """Return the address of the parameter, which may hold a value for each class."""
        return self.address.removesuffix(f".{self.of_class}") if self.of_class else self.address

    @property
    def key(self) -> str:
        """Return the name of the parameter at its owner."""
        return self.parameter.rpartition(".")[2]

    @property
    def owner(self) -> str:
        """Return the address of what has the parameter, or of the stage that is switched."""
        return self.address if self.kind == "switch" else self.parameter.rpartition(".")[0]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Return values that stand for all in a check: both ends of a range, or every choice."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: optuna.Trial) -> Any:
        """Return the value that a trial shall have."""
        if self.kind == "float":
            return self.value_of(
                trial.suggest_float(self.address, self.low, self.high, log=self.log, step=self.step)
            )
        if self.kind == "int":
            return trial.suggest_int(
                self.address, int(self.low), int(self.high), log=self.log, step=int(self.step or 1)
            )
        return self.value_of(
            trial.suggest_categorical(self.address, list(map(self.hold, self.choices)))
        )

    @staticmethod
    def hold(value: Any) -> Any:
        """Return a value as Optuna holds it: lists as TOML text."""
        return toml(value) if isinstance(value, list | tuple) else value

    def value_of(self, held: Any) -> Any:
        """Return the value that Optuna holds; steps of a range add up to numbers a little off."""
        if self.kind == "float" and self.step is not None:
            return round(held, 12)
        return next((choice for choice in self.choices if self.hold(choice) == held), held)

    def holds(self, value: Any) -> bool:
        """Say whether a value is among those that are searched."""
        values = self.values()
        if values is not None:
            return toml(value) in map(toml, values)
        return _is_number(value) and self.low <= value <= self.high

    def values(self) -> list[Any] | None:
        """List all values, or None where a range is continuous or has more than can be listed."""
        if self.choices:
            return list(self.choices)
        if self.step is None and self.kind == "float":
            return None
        step = self.step or 1
        count = int((self.high - self.low) / step + 1e-9) + 1
        if count > MOST_VALUES:
            return None
        found = [self.low + index * step for index in range(count)]
        return (
            [int(value) for value in found]
            if self.kind == "int"
            else [round(value, 12) for value in found]
        )

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(toml, self.choices))
        step = f" in steps of {self.step:g}" if self.step else ""
        return f"{self.low:g} to {self.high:g}{step}{', logarithmic' if self.log else ''}"


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
        what = f"`{one.address}` chooses among synonyms, and no class has any."
        fix = 'Give some behind commas: classes = ["dog, puppy"]. Or leave it out.'
        raise BadSpace(what, fix=fix, where=one.place)
    for name, more in words.items():
        address = f"{one.parameter}.{name}"
        if address not in own and (more or not one.synonyms):
            choices = (*one.choices, *(more if one.synonyms else ()))
            yield replace(one, address=address, of_class=name, choices=choices, synonyms=False)


def _dimension(address: str, entry: Any, place: Place, recipe: Recipe) -> Dimension | None:
    if not isinstance(entry, Mapping):
        fix = f'Write "{address}" = {{ low = ..., high = ... }} or {{ choices = [...] }}.'
        what = f"`{address}` is {toml(entry)}, which is not a range."
        report(BadSpace(what, fix=fix, where=place))
        return None
    unknown = [key for key in entry if key not in DIMENSION_KEYS]
    for key in unknown:
        what, fix = f"`{address}` has no key `{key}`.", did_you_mean(key, DIMENSION_KEYS)
        there = f"There are: {', '.join(DIMENSION_KEYS)}"
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
            what = f"`{address}` is a stage, and a stage is on or off."
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
        there = f"With a value for each: {', '.join(known)}" if known else ""
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
        raise BadSpace(f"`{address}` has choices and a range.", fix="Keep one of them.")
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
    if not _is_number(low) or not _is_number(high):
        return "needs numbers as `low` and `high`, or `choices`", ""
    if low == high:
        return f"goes from {low} to {high}: there is nothing to search", "Set it instead: --set."
    if low > high:
        return f"goes from {low} down to {high}", "Swap `low` and `high`."
    if not isinstance(log, bool | None):
        return f"has log = {toml(log)}; it is true or false", ""
    if log and low <= 0:
        return f"is logarithmic and begins at {low}", "Begin above 0, or leave out `log`."
    if step is not None and (not _is_number(step) or not 0 < step <= high - low):
        return f"has a step of {toml(step)}; it is above 0 and fits into the range", ""
    if log and step is not None:
        return "has both `step` and `log`", "Keep one of them."
    whole = all(isinstance(value, int) for value in (low, high, step) if value is not None)
    if kinds == {"integer"} and not whole:
        return f"is a whole number, and {low} to {high} is not", "Give whole numbers."
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
