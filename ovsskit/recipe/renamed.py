"""Read what was written for the version before: stages, keys and values that have another name now.

Whatever is read under an old name is said, with its place and the new name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from ovsskit.errors import Place
from ovsskit.recipe.toml_lines import Table

STAGES = {
    "caption": "write_captions",
    "cross_attention": "cross_attend",
    "hidden": "encode_hidden",
    "text_features": "encode_text",
}
KEYS = {"seconds_per_picture": "seconds_per_image"}
"""Keys of `[constraints]`."""
VALUES: dict[tuple[str, str, str], str] = {("pamr", "at", "picture"): "image"}
"""Values by stage, parameter and old value."""

log = logging.getLogger(__name__)


def renew(table: Table) -> None:
    """Put the present names into the tables of a recipe or of a study file."""
    entries = list(_entries(table))
    own = {entry["name"] for entry in entries if "name" in entry}
    for entry in entries:
        entry["use"] = _renew(entry["use"], STAGES, entry.place_of("use"))
        for key in ("before", "after", "replaces"):
            if entry.get(key) not in own | {None}:
                entry[key] = renew_address(entry[key], entry.place_of(key))
        for key, value in entry.items():
            entry[key] = renew_value(f"{entry['use']}.{key}", value, entry.place_of(key))
    if isinstance(table.get("remove"), list):
        place = table.place_of("remove")
        table["remove"] = [
            one if one in own else renew_address(one, place) for one in table["remove"]
        ]
    for holder in (table, table.get("study", {})):
        for name in ("set", "space"):
            if name in holder:
                holder[name] = _addresses(holder[name], own)
        if isinstance(holder.get("constraints"), Table):
            holder["constraints"] = _keys(holder["constraints"])


def renew_address(address: str, where: Place) -> str:
    """Return an address with the present name of its stage."""
    owner, dot, key = address.partition(".")
    return f"{_renew(owner, STAGES, where)}{dot}{key}"


def renew_value(address: str, value: Any, where: Place) -> Any:
    """Return the present name of a value at an address; all other values unchanged."""
    owner, _, key = address.partition(".")
    if not isinstance(value, str) or (owner, key, value) not in VALUES:
        return value
    return _renew(value, {value: VALUES[owner, key, value]}, where)


def _entries(table: Table, key: str = "stage") -> Iterator[Table]:
    for entry in table.get(key, []):
        if isinstance(entry.get("use"), str):
            yield entry
        yield from _entries(entry, "inner")


def _addresses(table: Table, own: set[str]) -> Table:
    found = Table({}, table.place, {})
    for address, value in table.items():
        place = table.place_of(address)
        is_own = address.partition(".")[0] in own
        name = address if is_own else renew_address(address, place)
        found[name], found.places[name] = renew_value(name, value, place), place
    return found


def _keys(table: Table) -> Table:
    names = {key: _renew(key, KEYS, table.place_of(key)) for key in table}
    places = {names[key]: place for key, place in table.places.items() if key in names}
    return Table({names[key]: value for key, value in table.items()}, table.place, places)


def _renew(name: str, names: dict[str, str], where: Place) -> str:
    if name not in names:
        return name
    log.warning(
        "%s: `%s` is now called `%s`; the next version will no longer read the old name",
        where,
        name,
        names[name],
    )
    return names[name]
