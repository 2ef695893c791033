"""Sort the shipped recipes by the methods that they follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.extends import base_of


@dataclass
class Method:
    """Hold the recipe of a method, and its variants for other data sets, models or settings.

    A variant extends the recipe, or another variant, and follows the same `source`.
    """

    recipe: Recipe
    variants: list[Recipe] = field(default_factory=list)

    @property
    def recipes(self) -> list[Recipe]:
        """Return all recipes of the method, its own first."""
        return [self.recipe, *self.variants]


def shipped_methods() -> list[Method]:
    """Return the methods of all shipped recipes, by the names of their files."""
    folder = recipe_folder().resolve()
    recipes = {path: load_recipe(path) for path in sorted(folder.rglob("*.toml"))}
    methods = {path: Method(recipes[path]) for path in recipes if _first(path, recipes) == path}
    for path, recipe in recipes.items():
        if path not in methods:
            methods[_first(path, recipes)].variants.append(recipe)
    return list(methods.values())


def _first(path: Path, recipes: dict[Path, Recipe]) -> Path:
    """Return the recipe, of those that one extends step by step, that has its source first."""
    base = base_of(path)
    while base in recipes and recipes[base].header.source == recipes[path].header.source:
        path, base = base, base_of(base)
    return path
