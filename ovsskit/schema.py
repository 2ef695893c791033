"""Generate the JSON Schema of recipes from the stages and backbones, so that editors complete and check them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from ovsskit.describe import summary
from ovsskit.extends import PLACEMENTS
from ovsskit.recipe import Header, InputTable, VocabularyTable
from ovsskit.registry import backbone_names, find_backbone, find_stage, stage_names
from ovsskit.stage import Wrapper

Schema = dict[str, Any]


def recipe_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of recipe files, plugins that are loaded included."""
    text = {"type": "string"}
    stages = {"type": "array", "items": {"$ref": "#/$defs/stage"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ovsskit recipe",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **_properties(Header),
            "extends": {**text, "description": "the recipe that this one changes"},
            "remove": {"type": "array", "items": text, "description": "addresses of stages to leave out"},
            "set": {"type": "object", "description": 'changed values by address: "threshold.at" = 0.3'},
            "backbone": {"$ref": "#/$defs/backbone"},
            "models": {"type": "object", "additionalProperties": {"$ref": "#/$defs/backbone"}},
            "vocabulary": _table(VocabularyTable),
            "input": _table(InputTable),
            "stage": stages,
        },
        "$defs": {
            "stage": _choice(stage_names(), find_stage, _stage),
            "backbone": _choice(backbone_names(), find_backbone, _backbone),
        },
    }


def _choice(names: Sequence[str], find: Callable[[str], Any], entry: Callable[[str, Any], Schema]) -> Schema:
    return {
        "type": "object",
        "required": ["use"],
        "properties": {"use": {"enum": list(names)}},
        "oneOf": [entry(name, find(name)) for name in names],
    }


def _stage(name: str, cls: type[BaseModel]) -> Schema:
    table = _used(name, cls)
    place = {key: {"type": "string", "description": f"in a variant: {key} which stage this one goes"} for key in PLACEMENTS}
    inner = {"inner": {"type": "array", "items": {"$ref": "#/$defs/stage"}}} if issubclass(cls, Wrapper) else {}
    return {**table, "properties": {**table["properties"], **inner, **place}}


def _backbone(name: str, cls: type[BaseModel]) -> Schema:
    # A variant may change one key of its base's backbone, so none is required beside `use`.
    return {**_used(name, cls), "required": ["use"]}


def _used(name: str, cls: type[BaseModel]) -> Schema:
    table = _table(cls)
    table["properties"] = {"use": {"const": name}, **table["properties"]}
    table["required"] = ["use", *table.get("required", [])]
    return {"title": name, "description": summary(cls), **table}


def _table(cls: type[BaseModel]) -> Schema:
    required = [name for name, info in cls.model_fields.items() if info.is_required()]
    table: Schema = {"type": "object", "additionalProperties": False, "properties": _properties(cls)}
    return {**table, "required": required} if required else table


def _properties(cls: type[BaseModel]) -> Schema:
    properties: Schema = cls.model_json_schema()["properties"]
    return {key: {k: v for k, v in value.items() if k != "title"} for key, value in properties.items()}
