"""Find and change what stands at an address of a recipe: `threshold.at`, `backbone.weights`, `vocabulary.background`.

The same addresses serve `--set`, the `[set]` table of a variant, studies and errors.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from ovsskit.errors import BadValue, OvsskitError, Place, UnknownAddress, did_you_mean
from ovsskit.lines import Table

SECTIONS = ("backbone", "vocabulary", "input", "fit")


def address_of(entry: Table) -> str:
    """Return the address of a stage's table: its name, or what it uses."""
    return str(entry.get("name") or entry.get("use") or "?")


def all_stages(parent: Table, key: str = "stage") -> Iterator[tuple[list[Any], int, Table]]:
    """Yield every stage table of a recipe, outer before inner, with the list that holds it and its index there."""
    entries = parent.get(key, [])
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, Table):
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
            f"`{text}` is no assignment.", fix="Write --set address=value", where=Place("--set")
        )
    try:
        [parsed] = tomllib.loads(f"value = {value}").values()
        return address.strip(), parsed
    except ValueError:
        return address.strip(), value.strip()


def set_value(table: Table, address: str, value: Any, where: Place) -> list[OvsskitError]:
    """Change the value at an address in a recipe's tables; return the problem if there is no such address."""
    owner, _, key = address.rpartition(".")
    targets: dict[str, Table] = {}
    for _, _, entry in all_stages(table):
        targets.setdefault(address_of(entry), entry)
    targets |= {
        f"models.{name}": model
        for name, model in table.get("models", {}).items()
        if isinstance(model, Table)
    }
    targets |= {
        name: table.setdefault(name, Table({}, where, {}))
        for name in SECTIONS
        if name in table or name == owner
    }
    if owner not in targets or not key:
        known = list(targets)
        return [
            UnknownAddress(
                f"Nothing in the recipe has the address `{address}`.",
                there=f"There are: {', '.join(known)}",
                fix=did_you_mean(owner or address, known),
                where=where,
            )
        ]
    targets[owner][key] = value
    targets[owner].places[key] = where
    return []
