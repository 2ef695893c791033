"""Generate the JSON Schema of recipes from stages and backbones, for completion in editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ovsskit.engine.stage import Wrapper
from ovsskit.recipe.build import Header, InputTable
from ovsskit.recipe.describe import field_schemas, summary, table_schema
from ovsskit.recipe.extends import PLACEMENTS
from ovsskit.recipe.published import PublishedNumber
from ovsskit.recipe.registry import backbone_names, find_backbone, find_stage, stage_names
from ovsskit.recipe.tables import command_tables
from ovsskit.recipe.vocabulary import VocabularyTable

Schema = dict[str, Any]


def recipe_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of recipe files, plugins that are loaded included."""
    text = {"type": "string"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ovsskit recipe",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **field_schemas(Header),
            "extends": {**text, "description": "the recipe that this one changes"},
            "remove": {
                "type": "array",
                "items": text,
                "description": "addresses of stages to leave out",
            },
            "set": {
                "type": "object",
                "description": 'changed values by address: "threshold.at" = 0.3',
            },
            "backbone": {"$ref": "#/$defs/backbone"},
            "models": {"type": "object", "additionalProperties": {"$ref": "#/$defs/backbone"}},
            "vocabulary": table_schema(field_schemas(VocabularyTable)),
            "input": table_schema(field_schemas(InputTable)),
            **{name: module.schema() for name, module in command_tables().items()},
            "stage": {"type": "array", "items": {"$ref": "#/$defs/stage"}},
            "published": {"type": "array", "items": _table(PublishedNumber)},
        },
        "$defs": {
            "stage": {
                "type": "object",
                "required": ["use"],
                "properties": {"use": {"enum": stage_names()}},
                "oneOf": [_stage(name, find_stage(name)) for name in stage_names()],
            },
            # A variant may change a key of its base's backbone without repeating what it uses.
            "backbone": {
                "type": "object",
                "anyOf": [_used(name, find_backbone(name)) for name in backbone_names()],
            },
        },
    }


def _table(cls: type[BaseModel]) -> Schema:
    needed = [name for name, field in cls.model_fields.items() if field.is_required()]
    return {**table_schema(field_schemas(cls)), "required": needed}


def _stage(name: str, cls: Any) -> Schema:
    table = _used(name, cls)
    place = {
        key: {"type": "string", "description": f"in a variant: {key} which stage this one goes"}
        for key in PLACEMENTS
    }
    inner = (
        {"inner": {"type": "array", "items": {"$ref": "#/$defs/stage"}}}
        if issubclass(cls, Wrapper)
        else {}
    )
    return {**table, "properties": {**table["properties"], **inner, **place}, "required": ["use"]}


def _used(name: str, cls: Any) -> Schema:
    properties = {"use": {"const": name}, **field_schemas(cls)}
    return {"title": name, "description": summary(cls), **table_schema(properties)}
