"""Build a model (stage, backbone, section) from a TOML table, or say with lines what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ovsskit.engine.stage import paths_of
from ovsskit.errors import (
    MOST_SHOWN,
    BadFile,
    BadValue,
    MissingKey,
    OvsskitError,
    UnknownKey,
    did_you_mean,
    report,
    shorten,
)
from ovsskit.files.reading import why_no_path
from ovsskit.recipe.describe import range_of, toml
from ovsskit.recipe.toml_lines import Table

M = TypeVar("M", bound=BaseModel)


def validate(cls: type[M], table: Table, who: str, keys: Sequence[str] = ()) -> M | None:
    """Return the model that a table describes, or report why there is none.

    `keys` are known beside the model's fields.
    """
    values = {key: _tuples(value) for key, value in table.items()}
    missing = list[OvsskitError]()
    for name, path in paths_of(cls).items():
        kind = "folder" if path.folder else "file"
        text = values.get(name)
        if isinstance(text, str) and text:
            place = table.place_of(name)
            # What the command line gives has no line, and is relative to the current folder.
            beside = Path(place.file).parent if place.line else Path()
            reason = why_no_path(text)
            if reason or not (Path.is_dir if path.folder else Path.is_file)(beside / text):
                what = f"{who}.{name} names a {kind} that does not exist: {shorten(text)}"
                start = "the recipe's file" if place.line else "the current folder"
                there = f"No {kind} has such a name: {reason}." if reason else ""
                fix = f"Paths are relative to {start}."
                missing.append(BadFile(what, there=there, fix=fix, where=place))
            else:
                values[name] = str((beside / text).resolve())
    if missing:
        report(*missing)
        return None
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        known = [*keys, *cls.model_fields]
        for detail in _distinct(error.errors(include_url=False))[:MOST_SHOWN]:
            report(_explain(cls, detail, table, who, known))
        return None


def _explain(
    cls: type[BaseModel], detail: ErrorDetails, table: Table, who: str, known: Sequence[str]
) -> OvsskitError:
    key = str(detail["loc"][0]) if detail["loc"] else ""
    where = table.place_of(key)
    if detail["type"] == "extra_forbidden":
        there = f"Available: {', '.join(sorted(known))}"
        return UnknownKey(
            f"`{who}` has no key `{key}`.", there=there, fix=did_you_mean(key, known), where=where
        )
    if detail["type"] == "missing":
        return MissingKey(f"`{who}` lacks the key `{key}`.", where=where)
    shown = f"{who}.{key} is {shorten(toml(table[key]))}" if key else f"`{who}` is invalid"
    context = detail.get("ctx", {})
    if detail["type"] == "refusal":
        return BadValue(f"{shown}; {detail['msg']}.", fix=context["fix"], where=where)
    if "error" in context:  # raised by a validator of the class
        return BadValue(f"{shown}: {context['error']}.", where=where)
    allowed = range_of(cls.model_json_schema()["properties"][key])
    return BadValue(f"{shown}; it must be: {allowed}.", where=where)


def _distinct(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Keep one error per key: a union of types reports one for each of its members."""
    return list({str(detail["loc"][:1]): detail for detail in reversed(details)}.values())[::-1]


def _tuples(value: Any) -> Any:
    """Turn arrays, also those inside tables, into tuples, which frozen models hold."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
