"""Describe the table `[study]` to editors; `ovsskit.study.spec` checks it in a planned study."""

from __future__ import annotations

from typing import Any

SETTINGS = None


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the table; the space and objectives are left to the check."""
    from ovsskit.recipe.describe import field_schemas, table_schema
    from ovsskit.recipe.shapes import DIMENSION_KEYS
    from ovsskit.study.spec.objectives import METRICS
    from ovsskit.study.spec.tables import ConstraintsTable, StudyTable

    stage = {"type": "object", "properties": {"use": {"type": "string"}}, "required": ["use"]}
    objective = {
        "type": "object",
        "properties": {
            "use": {"type": "string"},
            "product": {"type": "array", "items": stage, "minItems": 1},
            "metric": {"enum": list(METRICS)},
        },
    }
    own = {key: value for key, value in field_schemas(StudyTable).items() if key != "recipe"}
    tables = {
        "objective": {"anyOf": [objective, {"type": "array", "items": objective}]},
        "confirm": objective,
        "constraints": table_schema(field_schemas(ConstraintsTable)),
        "models": {"type": "object", "additionalProperties": {"$ref": "#/$defs/backbone"}},
        "set": {"type": "object"},
        "space": {
            "type": "object",
            "additionalProperties": table_schema({key: {} for key in DIMENSION_KEYS}),
        },
    }
    return {
        **table_schema({**own, **tables}),
        "description": "what `ovsskit study` searches in this recipe",
    }
