"""Read recipes and study files, and check the shape of every table, list and value in them.

What is in a table is for its stage, backbone or section to judge. This says what is a table, what
is a list of tables, and what is text, once and right after parsing: all that comes later sees only
right shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from ovsskit.errors import BadValue, MissingKey, OvsskitError, Place, Problems, shorten
from ovsskit.recipe.describe import toml
from ovsskit.recipe.renamed import renew
from ovsskit.recipe.toml_lines import Table, read

Tables = dict[str, Any]
MOST_TABLES = 1000
"""Tables in a list, such as the stages of a recipe."""
MOST_NUMBER = 2**63
"""TOML's whole numbers lie below, and so do those of the libraries that take them."""

DIMENSION_KEYS = ("low", "high", "step", "log", "choices")
"""The keys of a parameter's table in a search space."""


class _Shape(BaseModel, extra="allow", strict=True):
    """Name the keys of a table whose shape is known; it may have others."""


class StageShape(_Shape):
    """Give the shape of a table `[[stage]]`."""

    use: str
    name: str = ""
    reads: dict[str, str] = {}
    writes: str = ""
    inner: Annotated[list[StageShape], Field(max_length=MOST_TABLES)] = []
    before: str = ""
    after: str = ""
    replaces: str = ""


class ModelShape(_Shape):
    """Give the shape of `[backbone]`, and of each table under `[models]`."""

    use: str = ""


class ObjectiveShape(_Shape):
    """Give the shape of `[objective]`."""

    use: str = ""
    product: Annotated[list[StageShape], Field(max_length=MOST_TABLES)] = []
    metric: str = ""
    name: str = ""
    direction: str = ""
    masks: str = ""


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class StudyShape(_Shape):
    """Give the shape of `[study]`, and of a study file."""

    objective: Annotated[list[ObjectiveShape], BeforeValidator(_listed)] = []
    confirm: ObjectiveShape = ObjectiveShape()
    constraints: Tables = {}
    models: dict[str, ModelShape] = {}
    space: Tables = {}
    set: Tables = {}


class FileShape(StudyShape):
    """Give the shape of a recipe or study file; where both have a key, it has the same shape."""

    recipe: str = ""
    extends: str = ""
    remove: list[str] = []
    backbone: ModelShape = ModelShape()
    vocabulary: Tables = {}
    input: Tables = {}
    fit: Tables = {}
    bank: Tables = {}
    study: StudyShape = StudyShape()
    stage: Annotated[list[StageShape], Field(max_length=MOST_TABLES)] = []
    published: Annotated[list[Tables], Field(max_length=MOST_TABLES)] = []


def read_shaped(path: Path) -> Table:
    """Read a recipe or a study file whose tables and lists have the right shapes.

    Raises:
        BrokenToml: the file cannot be read, is too large, or is not TOML.
        Problems: something has the wrong shape; all that has is in it, with file and line.
    """
    table = read(path)
    problems = list(odd_values(table, table.place))
    known = {one.where for one in problems}
    problems += (one for one in wrong_shapes(FileShape, table) if one.where not in known)
    if problems:
        raise Problems(problems)
    for holder in (table, table.get("study", {})):
        if "set" in holder:
            holder["set"] = _addressed(holder["set"])
        if "space" in holder:
            holder["space"] = _addressed(holder["space"], values=DIMENSION_KEYS)
    renew(table)
    return table


def _addressed(table: Table, values: Sequence[str] = ()) -> Table:
    """Return a table of addresses, in which `threshold.at` is the same as `"threshold.at"`.

    A table with one of the keys `values` is what stands at an address, and holds none.
    """
    flat = Table({}, table.place, {})
    for key, value in table.items():
        if "." in key or not isinstance(value, Table) or set(values) & set(value):
            flat[key], flat.places[key] = value, table.place_of(key)
            continue
        owner = _addressed(value, values) if key == "models" else value
        for name, one in owner.items():
            address = f"{key}.{name}"
            if values and isinstance(one, Table) and one and not set(values) & set(one):
                for entry, each in one.items():  # of a parameter with a value for each class
                    full = f"{address}.{entry}"
                    flat[full], flat.places[full] = each, one.place_of(entry)
            else:
                flat[address], flat.places[address] = one, owner.place_of(name)
    return flat


def wrong_shapes(shape: type[BaseModel], table: Table, who: str = "") -> Iterator[OvsskitError]:
    """Yield what in a table has another shape than it must; `who` is the address of the table."""
    try:
        shape.model_validate(table)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            yield _explain(detail, table, who)


def _explain(detail: ErrorDetails, table: Table, who: str) -> OvsskitError:
    *above, key = detail["loc"]
    holder, where = _walk(table, above)
    where = holder.place_of(key) if isinstance(holder, Table) and isinstance(key, str) else where
    names = [str(part) for part in detail["loc"] if isinstance(part, str)]
    address = ".".join(filter(None, (who, *names)))
    found = detail["input"]
    if detail["type"] == "missing":
        return MissingKey(f"A {names[0]} has no `{key}`.", fix=f'Add {key} = "...".', where=where)
    if detail["type"] == "too_long":
        what = f"`{address}` has {len(found)} tables; at most {MOST_TABLES} are allowed."
        return BadValue(what, where=where)
    if isinstance(found, Table):
        where = found.place
    wanted, fix = _wanted(detail["type"], names, address, in_list=isinstance(key, int))
    return BadValue(f"`{address}` is {kind_of(found)}; it must be {wanted}.", fix=fix, where=where)


def _wanted(kind: str, names: list[str], address: str, *, in_list: bool) -> tuple[str, str]:
    """Return in words what must stand at an address, and how it is written."""
    if names[-1] in ("stage", "inner"):
        return (
            "a list of tables",
            f'Write [[{address}]], in double brackets, with use = "...".',
        )
    if names[-1] == "published":
        return (
            "a list of tables",
            'Write [[published]], in double brackets, with dataset = "...".',
        )
    if kind == "list_type" or (kind == "string_type" and in_list):
        return "a list of texts", f'Write {names[-1]} = ["..."].'
    if kind == "string_type":
        return "text", f'Write it in quotes: {names[-1]} = "...".'
    if names[-1] == "product":
        return "a list of tables", 'Write product = [{ use = "..." }, { use = "..." }].'
    if names[-1] in ("objective", "confirm"):
        return "a table", f'Write [{address}] with metric = "..." or use = "..." below.'
    if names[-1] == "reads":
        return "a table", 'Write reads = { slot = "another" }.'
    return "a table", f"Write [{address}], in single brackets, and its keys below it."


def _walk(table: Table, loc: list[int | str]) -> tuple[Any, Place]:
    """Return what stands at a place of a table, and the nearest line that is known."""
    value: Any = table
    where = table.place
    for part in loc:
        if isinstance(value, Table) and isinstance(part, str):
            where = value.place_of(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        where = value.place if isinstance(value, Table) else where
    return value, where


def odd_values(value: Any, where: Place, address: str = "") -> Iterator[OvsskitError]:
    """Yield what no parameter takes: dates, times, non-finite numbers, and too long ones."""
    if isinstance(value, Table):
        for key, item in value.items():
            inside = f"{address}.{key}" if address else key
            yield from odd_values(item, value.place_of(key), inside)
    elif isinstance(value, list):
        for item in value:
            inside = _name_of(item, address)
            yield from odd_values(item, where, inside)
    elif isinstance(value, date | time):
        fix = f'Write it in quotes if it is text: "{value.isoformat()}".'
        what = f"`{shorten(address)}` is {kind_of(value)}, which no setting takes."
        yield BadValue(what, fix=fix, where=where)
    elif isinstance(value, float) and not math.isfinite(value):
        yield BadValue(f"`{shorten(address)}` is {value}; numbers must be finite.", where=where)
    elif isinstance(value, int) and abs(value) >= MOST_NUMBER:
        what = f"`{shorten(address)}` is {kind_of(value)}; at most 18 are allowed."
        yield BadValue(what, where=where)


def _name_of(item: Any, address: str) -> str:
    """Return the address of a table in a list, such as that of a stage."""
    names = [item.get(key) for key in ("name", "use")] if isinstance(item, Table) else []
    return next((name for name in names if isinstance(name, str)), address)


def kind_of(value: Any) -> str:
    """Return in words what a value is: `a table`, `a list`, `the date ...`, or the value itself."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, datetime):
        return f"the time {value.isoformat(' ')}"
    if isinstance(value, date | time):
        return f"the {'date' if isinstance(value, date) else 'time'} {value.isoformat()}"
    if isinstance(value, int) and abs(value) >= MOST_NUMBER:
        return f"a number of {value.bit_length() * 3 // 10} digits"
    return shorten(toml(value))
