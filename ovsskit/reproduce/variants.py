"""Find the recipes that are variants of another for further data sets."""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.extends import base_of


def variants_of(recipe: Recipe, overrides: Sequence[str] = ()) -> list[Recipe]:
    """Return the recipes beside one that extend it and have published numbers of other data sets.

    Raises:
        Problems: one that extends it has any.
    """
    own = {recipe.plan.vocabulary.dataset, *(row.dataset for row in recipe.published)}
    found = []
    for path in sorted(recipe.path.parent.glob("*.toml")):
        if base_of(path) == recipe.path.resolve():
            variant = load_recipe(path, overrides)
            datasets = {row.dataset for row in variant.published}
            if datasets and not datasets & own:
                found.append(variant)
    return found
