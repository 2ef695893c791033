"""Read a recipe together with the recipes that it extends.

A variant names its base and says what it changes:

    extends = "pnp_blip.toml"
    remove  = ["dense_crf"]

    [set]
    "threshold.at" = 0.3

    [[stage]]
    use   = "pamr"
    after = "softmax"        # or before = "...", or replaces = "..."

The tables `[backbone]`, `[models]`, `[vocabulary]`, `[input]` and `[fit]` are merged key by key; a
`use` that differs starts afresh, and so does a `[vocabulary]` that names classes.
"""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from ovsskit.errors import (
    ExtendsCycle,
    MissingKey,
    MissingRecipe,
    OvsskitError,
    Place,
    UnknownAddress,
    UnknownKey,
    did_you_mean,
    first_of,
    nearest,
    report,
    shorten,
)
from ovsskit.files.reading import why_no_path
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.addresses import SECTIONS, address_of, all_stages, set_value
from ovsskit.recipe.shapes import read_shaped
from ovsskit.recipe.toml_lines import Table
from ovsskit.recipe.vocabulary import NAMING

PLACEMENTS = ("before", "after", "replaces")
EXTENDING_KEYS = ("extends", "remove", "set")
MOST_BASES = 32
"""How many recipes may extend each other in a row."""


def find_recipe(name: str | Path, beside: Path | None = None, where: Place | None = None) -> Path:
    """Return the file of a recipe given by path, or by the name of a shipped one.

    Raises:
        MissingRecipe: there is none.
    """
    path = Path(name)
    shipped = recipe_folder()
    tries = [
        (beside / path if beside else path),
        shipped / path,
        shipped / f"{path}.toml",
        shipped.parent / path,
    ]
    for candidate in tries:
        if _is_file(candidate):
            return candidate
    known = sorted(str(p.relative_to(shipped).with_suffix("")) for p in shipped.rglob("*.toml"))
    raise MissingRecipe(
        f"There is no recipe `{shorten(str(name))}`.",
        there=f"Shipped recipes: {first_of(known)}",
        fix=did_you_mean(path.stem, known),
        where=where or Place(str(name)),
    )


def name_base(path: Path, folder: Path) -> str:
    """Return how a recipe in a folder names its base: by shipped name, or by relative path."""
    shipped = recipe_folder().resolve()
    if path.resolve().is_relative_to(shipped):
        return path.resolve().relative_to(shipped).with_suffix("").as_posix()
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def base_of(path: Path) -> Path | None:
    """Return the recipe that a file extends; None where it is no recipe, or stands alone."""
    with suppress(OSError, ValueError, MissingRecipe):
        base = tomllib.loads(path.read_text(encoding="utf-8")).get("extends")
        if isinstance(base, str):
            return find_recipe(base, beside=path.parent).resolve()
    return None


def _is_file(path: Path) -> bool:
    """Say whether a path is a file; what may not be looked at may be one, and reading says so."""
    try:
        return not why_no_path(str(path)) and path.is_file()
    except PermissionError:
        return True


def read_extended(name: str | Path) -> Table:
    """Read a recipe's tables with those of its bases merged in; problems of that are reported.

    Raises:
        MissingRecipe, BrokenToml, ExtendsCycle: a file cannot be read at all.
    """
    return _read(find_recipe(name), [])


def _read(path: Path, above: list[Path]) -> Table:
    table = read_shaped(path)
    if "extends" not in table:
        report(*(_changes_nothing(table, key) for key in ("set", "remove") if key in table))
        return table
    where = table.place_of("extends")
    if len(above) == MOST_BASES:
        what = f"More than {MOST_BASES} recipes extend each other."
        raise ExtendsCycle(what, fix="Extend one that extends no other.", where=where)
    chain = [*above, path.resolve()]
    base_path = find_recipe(table["extends"], beside=path.parent, where=where)
    if base_path.resolve() in chain:
        circle = " -> ".join(p.name for p in [*chain, base_path])
        raise ExtendsCycle(
            f"The recipes that extend each other are {circle}",
            fix="Remove `extends` from one of them.",
            where=where,
        )
    return _merge(_read(base_path, chain), table)


def _changes_nothing(table: Table, key: str) -> OvsskitError:
    what = f"`{key}` changes a recipe that is extended, but this one extends none."
    fix = 'Add extends = "...", or change the stages themselves.'
    return UnknownKey(what, fix=fix, where=table.place_of(key))


def _merge(base: Table, change: Table) -> Table:
    # A variant is another recipe: its base's name and published numbers are not its own.
    kept = {key: value for key, value in base.items() if key not in ("name", "published")}
    merged = Table(kept, change.place, {**base.places, **change.places})
    for key, value in change.items():
        if key in SECTIONS:
            afresh = key == "vocabulary" and any(way in value for way in NAMING)
            merged[key] = value if afresh else _merge_table(base.get(key), value)
        elif key == "models":
            merged[key] = _merge_models(base.get("models"), value)
        elif key == "study":
            merged[key] = _merge_table(base.get("study"), value)
            if "models" in value:
                merged[key]["models"] = _merge_models(
                    base.get("study", {}).get("models"), value["models"]
                )
        elif key not in ("stage", *EXTENDING_KEYS):
            merged[key] = value
    for address in change.get("remove", []):
        for stages, index, _ in _at(merged, address, change.place_of("remove")):
            del stages[index]
    for address, value in change.get("set", {}).items():
        set_value(merged, address, value, change["set"].place_of(address))
    for entry in change.get("stage", []):
        _place_stage(merged, entry)
    if "study" in merged and "space" not in change.get("study", {}):
        _forget_removed(merged["study"], merged)
    return merged


def _forget_removed(study: Table, merged: Table) -> None:
    """Leave out of a base's search space what a variant has no stage of any more."""
    space = study.get("space", {})
    there = {address_of(entry) for _, _, entry in all_stages(merged)} | {*SECTIONS}
    for address in list(space):
        named = any(address == one or address.startswith(f"{one}.") for one in there)
        if not named and not address.startswith("models."):
            del space[address]


def _merge_models(base: Table | None, change: Table) -> Table:
    models = base or Table({}, change.place, {})
    return Table(
        {**models, **{key: _merge_table(models.get(key), value) for key, value in change.items()}},
        change.place,
        {},
    )


def _merge_table(base: Table | None, change: Table) -> Table:
    if base is None or change.get("use", base.get("use")) != base.get("use"):
        return change
    return Table({**base, **change}, change.place, {**base.places, **change.places})


def _place_stage(merged: Table, entry: Table) -> None:
    """Put a variant's stage where it says."""
    placements = [key for key in PLACEMENTS if key in entry]
    if len(placements) != 1:
        who = f"`{address_of(entry)}`"
        what = f"{who} must say where it goes among the stages of the extended recipe."
        fix = 'Give one of before, after, replaces = "address".'
        report(MissingKey(what, fix=fix, where=entry.place))
        return
    [placement] = placements
    address = entry.pop(placement)
    for stages, index, _ in _at(merged, address, entry.place_of(placement), guess=True):
        if placement == "replaces":
            stages[index] = entry
        elif placement == "before":
            stages.insert(index, entry)
        else:
            stages.insert(index + 1, entry)


def _at(
    merged: Table, address: str, where: Place, *, guess: bool = False
) -> list[tuple[list[Any], int, Table]]:
    """Return the stage of an address; of a misspelt one, which is reported, a guess or none."""
    known = [address_of(entry) for _, _, entry in all_stages(merged)]
    wanted = address if address in known else nearest(address, known) if guess else None
    found = [item for item in all_stages(merged) if address_of(item[2]) == wanted]
    if address not in known:
        what = f"The extended recipe has no stage `{address}`."
        there = f"Available: {first_of(known, 'ovsskit plan RECIPE')}"
        fix = did_you_mean(address, known)
        report(UnknownAddress(what, there=there, fix=fix, where=where))
    return found[:1]
