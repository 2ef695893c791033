"""Find the recipes that are variants of another for further data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.extends import base_of


def variants_of(recipe: Recipe, overrides: Sequence[str] = ()) -> list[Recipe]:
    """Return the recipes beside one that extend it and have published numbers of other data sets.

    A variant may extend another one of the same source.

    Raises:
        Problems: one that extends it has any.
    """
    own = {recipe.plan.vocabulary.dataset, *(row.dataset for row in recipe.published)}
    found = []
    for path in sorted(recipe.path.parent.glob("*.toml")):
        if _extends(path, recipe):
            variant = load_recipe(path, overrides)
            datasets = {row.dataset for row in variant.published}
            if datasets and not datasets & own:
                found.append(variant)
    return found


def _extends(path: Path, recipe: Recipe) -> bool:
    """Say whether a recipe extends another, or one that has its source and does."""
    base = base_of(path)
    if base is None or base == recipe.path.resolve():
        return base is not None
    source, beside = recipe.header.source, base.parent == recipe.path.resolve().parent
    reaches = bool(source) and beside and _extends(base, recipe)
    return reaches and load_recipe(base).header.source == source
