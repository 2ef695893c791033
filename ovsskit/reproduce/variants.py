"""Find the recipes that are variants of another for further data sets."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ovsskit.errors import MissingRecipe
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.extends import find_recipe


def variants_of(recipe: Recipe, overrides: Sequence[str] = ()) -> list[Recipe]:
    """Return the recipes beside one that extend it and have published numbers of other data sets.

    Raises:
        Problems: one that extends it has any.
    """
    own = {recipe.plan.vocabulary.dataset, *(row.dataset for row in recipe.published)}
    found = []
    for path in sorted(recipe.path.parent.glob("*.toml")):
        if _base_of(path) == recipe.path.resolve():
            variant = load_recipe(path, overrides)
            datasets = {row.dataset for row in variant.published}
            if datasets and not datasets & own:
                found.append(variant)
    return found


def _base_of(path: Path) -> Path | None:
    """Return the recipe that a file extends; None where it is no recipe, or stands alone."""
    with suppress(OSError, ValueError, MissingRecipe):
        base = tomllib.loads(path.read_text(encoding="utf-8")).get("extends")
        if isinstance(base, str):
            return find_recipe(base, beside=path.parent).resolve()
    return None
