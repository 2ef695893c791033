"""Find and change what stands at an address of a recipe: `threshold.at`, `backbone.weights`.

A parameter with a value for each class has an address for each, which ends in the class's name as
it stands, whatever is in it: `threshold.at_class.ice cream`.
The same addresses serve `--set`, the `[set]` table of a variant, studies and errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ovsskit.engine.stage import Stage, per_class
from ovsskit.errors import (
    BadValue,
    BrokenToml,
    Place,
    UnknownAddress,
    did_you_mean,
    first_of,
    nearest,
    report,
    shorten,
)
from ovsskit.recipe.describe import COMMON
from ovsskit.recipe.registry import find_backbone, find_stage
from ovsskit.recipe.renamed import renew_address, renew_value
from ovsskit.recipe.shapes import ModelShape, StageShape, odd_values, wrong_shapes
from ovsskit.recipe.toml_lines import Table, parse, tabled
from ovsskit.recipe.vocabulary import NAMING

SECTIONS = ("backbone", "vocabulary", "input", "fit", "distil", "bank")


def address_of(entry: Table) -> str:
    """Return the address of a stage's table: its name, or what it uses."""
    return str(entry.get("name") or entry["use"])


def all_stages(parent: Table, key: str = "stage") -> Iterator[tuple[list[Any], int, Table]]:
    """Yield every stage's table, outer before inner, after the list that holds it and its index."""
    entries = parent.get(key, [])
    for index, entry in enumerate(entries):
        yield entries, index, entry
        yield from all_stages(entry, "inner")


def parse_override(text: str) -> tuple[str, Any]:
    """Split `address=value`; the value is TOML, or plain text if it is not.

    Raises:
        BadValue: there is no equals sign.
    """
    address, equals, value = text.partition("=")
    if not equals or not address.strip():
        raise BadValue(
            f"`{shorten(text)}` is not an assignment.",
            fix="Write --set address=value",
            where=Place("--set"),
        )
    where = Place(f"--set {shorten(text)}")
    address = renew_address(address.strip(), where)
    try:
        [parsed] = parse(f"value = {value}", "--set").values()
        found = tabled(parsed, where)
    except (BrokenToml, ValueError):
        found = value.strip()
    return address, renew_value(address, found, where)


def set_value(table: Table, address: str, value: Any, where: Place) -> None:
    """Change the value at an address in a recipe's tables, or report why that cannot be."""
    targets: dict[str, Table] = {}
    for _, _, entry in all_stages(table):
        targets.setdefault(address_of(entry), entry)
    used = {one: str(entry.get("use")) for one, entry in targets.items()}
    owner, key, name = split_address(address, lambda one: find_stage(used.get(one, "")))
    models = {f"models.{name}": model for name, model in table.get("models", {}).items()}
    sections = {
        name: table.setdefault(name, Table({}, where, {}))
        for name in SECTIONS
        if name in table or name == owner
    }
    holders = {**targets, **models, **sections}
    if owner not in holders or not key:
        report(_unknown(address, holders, where))
        return
    if name:
        others = holders[owner].get(key)
        value = Table({**(others if isinstance(others, Table) else {}), name: value}, where, {})
    shape = StageShape if owner in targets else ModelShape
    changed = Table({**holders[owner], key: value}, where, {})
    problems = [*odd_values(value, where, address), *wrong_shapes(shape, changed, owner)]
    if problems:
        report(*problems)
        return
    if owner == "vocabulary" and key in NAMING:
        _forget_classes(holders[owner])
    holders[owner][key], holders[owner].places[key] = value, where


def split_address(address: str, find: Callable[[str], type[Stage] | None]) -> tuple[str, str, str]:
    """Return what has a parameter, the parameter, and the class whose value it is, if it has some.

    `find` returns the class of the stage at an address, or None.
    """
    parts = address.split(".")
    for count in range(1, len(parts) - 1):
        owner, key = ".".join(parts[:count]), parts[count]
        cls = find(owner)
        if cls is not None and key in per_class(cls):
            return owner, key, ".".join(parts[count + 1 :])
    owner, _, key = address.rpartition(".")
    return owner, key, ""


def _forget_classes(vocabulary: Table) -> None:
    """Take out the classes that a file names and what belongs to them, not those of options."""
    for key in (*NAMING, "dataset", "ids", "synonyms"):
        if key in vocabulary and vocabulary.place_of(key).line:
            del vocabulary[key]


def _unknown(address: str, holders: Mapping[str, Table], where: Place) -> UnknownAddress:
    """Return the error that an address names a stage, a parameter alone, or nothing."""
    if address in holders:
        names = _parameters(holders[address])
        kind = "table" if address in SECTIONS else "stage"
        what = f"`{address}` is a {kind}, not a value that can be set."
        there = f"It has: {first_of(names)}" if names else ""
        fix = f"Name one of its parameters: {address}.{names[0] if names else 'key'}"
        return UnknownAddress(what, there=there, fix=fix, where=where)
    owner, _, key = address.rpartition(".")
    full = [f"{name}.{key}" for name, one in holders.items() if key in _parameters(one)]
    full += [f"{name}.{each}.{key}" for name, one in holders.items() for each in _tables(one)]
    near = nearest(address, full) if owner else next(iter(full), None)
    what = f"Nothing in the recipe has the address `{address}`."
    there = f"Available: {first_of(list(holders), 'ovsskit plan RECIPE')}"
    fix = f"Did you mean `{near}`?" if near else did_you_mean(owner or key, list(holders))
    return UnknownAddress(what, there=there, fix=fix, where=where)


def _tables(table: Table) -> list[str]:
    """Return the parameters of a table's stage that have a value for each class."""
    cls = find_stage(table.get("use", ""))
    return [] if cls is None else [*per_class(cls)]


def _parameters(table: Table) -> list[str]:
    """Return the parameters of a table's stage or model; the keys of another table."""
    use = table.get("use", "")
    cls: Any = find_stage(use) or find_backbone(use)
    return [name for name in (cls.model_fields if cls is not None else table) if name not in COMMON]
