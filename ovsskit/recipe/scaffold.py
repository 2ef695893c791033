"""Write the recipe that a person starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from ovsskit.engine.stage import Stage, walk
from ovsskit.files.names import safe_name
from ovsskit.files.writing import see_free, write_text
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.describe import COMMON, toml
from ovsskit.recipe.extends import find_recipe


def write_starter(path: Path, base: str, *, whole: bool, force: bool = False) -> None:
    """Write a recipe that extends a shipped one, with parameters to pick from, or a whole copy.

    Raises:
        BadOutput: the file is there already, and `force` does not say to replace it.
        MissingRecipe: there is no such recipe.
        CannotWrite: the file cannot be written.
    """
    see_free(path, force=force)
    recipe = load_recipe(base)
    name = safe_name(path.stem) or "recipe"
    write_text(path, _copy(recipe, name) if whole else _variant(recipe, base, name))


def _variant(recipe: Recipe, base: str, name: str) -> str:
    head = {"name": name, "about": recipe.header.about, "extends": base}
    lines = [
        tomlkit.dumps(head),
        '# [vocabulary]\n# names = ["dog", "cat", "grass"]\n',
        "[set]",
        "# Remove the # before whatever you want to change; these are the current values.",
        *(f'# "{address}" = {value}' for address, value in _parameters(recipe.plan.stages)),
    ]
    return "\n".join(lines) + "\n"


def _copy(recipe: Recipe, name: str) -> str:
    """Return the recipe's own text with its comments where it stands alone, else its tables."""
    own = tomlkit.parse(find_recipe(recipe.path).read_text(encoding="utf-8"))
    tables = recipe.tables if "extends" in own else own
    tables.pop("published", None)  # of the shipped recipe, and not of what becomes of the copy
    tables["name"] = name
    return tomlkit.dumps(tables)


def _parameters(stages: Sequence[Stage]) -> Iterator[tuple[str, Any]]:
    for stage in walk(stages):
        for name in type(stage).model_fields:
            if name not in COMMON:
                yield f"{stage.address}.{name}", toml(getattr(stage, name))
