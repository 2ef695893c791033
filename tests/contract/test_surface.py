"""What people can hold on to (names, parameters, options, codes) does not change unnoticed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

import ovsskit
from ovsskit import errors, testing
from ovsskit.cli.app import app
from ovsskit.recipe.registry import backbone_files, find_backbone, find_stage, stage_files

MEANT = "if this is meant: python -m ovsskit.testing.regenerate"
GOLDEN = Path(__file__).parent.parent / "golden" / "surface.json"


def defaults(cls: Any) -> dict[str, object]:
    """Return the default of every parameter as JSON has it; "needed" where there is none."""
    fields = cls.model_json_schema()["properties"]
    return {name: field.get("default", "needed") for name, field in sorted(fields.items())}


def surface() -> dict[str, object]:
    """Return every name that people use, sorted, and what a parameter is if nobody sets it."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    kinds = [
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, errors.OvsskitError)
    ]
    return {
        "ovsskit": sorted(ovsskit.__all__),
        "ovsskit.testing": sorted(testing.__all__),
        "stages": {name: defaults(find_stage(name)) for name in stage_files()},
        "backbones": {name: defaults(find_backbone(name)) for name in backbone_files()},
        "commands": {
            name: sorted(option for parameter in command.params for option in parameter.opts)
            for name, command in sorted(commands.items())
        },
        "errors": {kind.code: kind.__name__ for kind in sorted(kinds, key=lambda kind: kind.code)},
    }


def test_public_names_exist() -> None:
    assert all(getattr(ovsskit, name) is not None for name in ovsskit.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ovsskit.no_such_name


def test_the_package_shows_what_is_public_and_stays_light() -> None:
    code = (
        "import sys; import ovsskit; shown = dir(ovsskit)\n"
        "from ovsskit import Backbone, Pipeline, Stage, Store, load, run_study\n"
        "assert shown == dir(ovsskit) == sorted([*ovsskit.__all__, '__version__']), shown\n"
        "print({'torch', 'transformers', 'kornia', 'open_clip'} & set(sys.modules) or 'light')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "light\n"


def test_error_codes_are_unique() -> None:
    kinds = [
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, errors.OvsskitError)
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_the_surface_has_not_changed(golden: Callable[[Path, str], str]) -> None:
    found = json.dumps(surface(), indent=1) + "\n"
    assert found == golden(GOLDEN, found), f"{MEANT}, and the change into CHANGELOG.md"
