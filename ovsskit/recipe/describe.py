"""Describe stages, backbones and values in words, for tables, trees, schema and reference."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

COMMON = ("name", "reads", "writes", "inner")
"""Fields that every stage, or every wrapper, has."""


@dataclass(frozen=True)
class FieldRow:
    """Describe one parameter: its name, what it may be, its default as TOML, and what it means."""

    name: str
    range: str
    default: str
    meaning: str


def field_rows(cls: type[BaseModel]) -> list[FieldRow]:
    """List the parameters of a stage or backbone class, without those that all of them have."""
    properties = cls.model_json_schema()["properties"]
    rows = []
    for name, info in cls.model_fields.items():
        if name not in COMMON:
            default = "" if info.default is PydanticUndefined else toml(info.default)
            rows.append(FieldRow(name, range_of(properties[name]), default, info.description or ""))
    return rows


def range_of(schema: Mapping[str, Any]) -> str:
    """Say in words which values a JSON Schema lets through, such as `number, 0 to 1`."""
    if "anyOf" in schema:
        return " or ".join(range_of(one) for one in schema["anyOf"])
    if "const" in schema:
        return toml(schema["const"])
    if "enum" in schema:
        return " or ".join(map(toml, schema["enum"]))
    kind = schema.get("type", "value")
    if "prefixItems" in schema:
        return (
            f"list of {len(schema['prefixItems'])}: "
            f"{' and '.join(dict.fromkeys(map(range_of, schema['prefixItems'])))}"
        )
    if kind == "array":
        items: Mapping[str, Any] = schema.get("items") or next(
            iter(schema.get("prefixItems", [])), {}
        )
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        size = f", {least} of them" if least == most else f", at least {least}"
        return f"list of {range_of(items)}{size if least else ''}"
    if "pattern" in schema:
        return str(schema["description"])
    if isinstance(schema.get("additionalProperties"), dict):
        return f"table of {range_of(schema['additionalProperties'])}"
    words = {
        "integer": "whole number",
        "string": "text",
        "boolean": "true or false",
        "object": "table",
    }.get(kind, kind)
    if schema.get("minLength"):
        return f"{words} that is not empty"
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{words}, {low} to {high}"
    bounds = [(low, "{} or more"), (above, "above {}"), (high, "at most {}"), (below, "below {}")]
    return ", ".join(
        [words, *(phrase.format(bound) for bound, phrase in bounds if bound is not None)]
    )


def toml(value: Any) -> str:
    """Write a value as TOML does."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        items = (f"{json.dumps(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {', '.join(items)} }}" if value else "{}"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def axes(kind: Any) -> str:
    """Return the named axes of a kind of value, such as `class h w`, or an empty string."""
    wanted = kind.__bound__ if isinstance(kind, TypeVar) else kind
    for name in ("data", "probability"):
        annotation = getattr(wanted, "__annotations__", {}).get(name, "")
        if isinstance(annotation, type):  # the module does not postpone its annotations
            return str(getattr(annotation, "dim_str", "")).strip()
        if found := re.search(r"""[\"']\s*([^\"']+)[\"']""", annotation):
            return found[1]
    parents = getattr(wanted, "__bases__", ())
    return axes(parents[0]) if parents and parents[0] is not object else ""


def summary(cls: type) -> str:
    """Return the first sentence of a class's docstring."""
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")


def field_schemas(cls: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of every field of a model, without pydantic's own titles."""
    fields: dict[str, Any] = cls.model_json_schema()["properties"]
    return {key: {k: v for k, v in value.items() if k != "title"} for key, value in fields.items()}


def table_schema(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a table that has these keys and no other."""
    return {"type": "object", "additionalProperties": False, "properties": fields}
