"""Generate the JSON Schema of recipes from the stages and backbones, so that editors complete and check them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ovsskit.engine.stage import Wrapper
from ovsskit.fit.settings import FitTable
from ovsskit.recipe.build import Header, InputTable
from ovsskit.recipe.describe import summary
from ovsskit.recipe.extends import PLACEMENTS
from ovsskit.recipe.registry import backbone_names, find_backbone, find_stage, stage_names
from ovsskit.recipe.shapes import DIMENSION_KEYS
from ovsskit.recipe.vocabulary import VocabularyTable
from ovsskit.study.spec.objectives import METRICS
from ovsskit.study.spec.tables import ConstraintsTable, StudyTable

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
            **_properties(Header),
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
            "vocabulary": _table(_properties(VocabularyTable)),
            "study": _study(),
            "input": _table(_properties(InputTable)),
            "fit": _table(_properties(FitTable)),
            "stage": {"type": "array", "items": {"$ref": "#/$defs/stage"}},
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


def _study() -> Schema:
    """Return the schema of the table `[study]`; what stands in the space and the objectives is for the check."""
    objective = {
        "type": "object",
        "properties": {"use": {"type": "string"}, "metric": {"enum": list(METRICS)}},
    }
    own = {key: value for key, value in _properties(StudyTable).items() if key != "recipe"}
    tables = {
        "objective": {"anyOf": [objective, {"type": "array", "items": objective}]},
        "constraints": _table(_properties(ConstraintsTable)),
        "models": {"type": "object", "additionalProperties": {"$ref": "#/$defs/backbone"}},
        "set": {"type": "object"},
        "space": {
            "type": "object",
            "additionalProperties": _table({key: {} for key in DIMENSION_KEYS}),
        },
    }
    return {
        **_table({**own, **tables}),
        "description": "what `ovsskit study` searches in this recipe",
    }


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
    properties = {"use": {"const": name}, **_properties(cls)}
    return {"title": name, "description": summary(cls), **_table(properties)}


def _table(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _properties(cls: type[BaseModel]) -> Schema:
    properties: Schema = cls.model_json_schema()["properties"]
    return {
        key: {k: v for k, v in value.items() if k != "title"} for key, value in properties.items()
    }
