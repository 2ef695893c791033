"""Find the tables of a recipe that a command owns: `[fit]` and `[study]`.

`ovsskit/<command>/table.py` describes one. It has `SETTINGS`, the model that is checked with the
recipe, or None where the command checks its table itself, and `schema()`, which returns the JSON
Schema of the table.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType

from pydantic import BaseModel

from ovsskit.files.shipped import PACKAGE


@cache
def command_tables() -> dict[str, ModuleType]:
    """Return the modules that describe commands' tables, by the table's name."""
    names = [path.parent.name for path in sorted(PACKAGE.glob("*/table.py"))]
    return {name: import_module(f"ovsskit.{name}.table") for name in names}


def settings_tables() -> dict[str, type[BaseModel]]:
    """Return the models of the tables that are checked with a recipe, by the table's name."""
    found = {name: module.SETTINGS for name, module in command_tables().items()}
    return {name: cls for name, cls in found.items() if cls is not None}
