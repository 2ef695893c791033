"""Say where the package lies, and the recipes that come with it."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def recipe_folder() -> Path:
    """Return the folder of the packaged recipes, in an installation or in a checkout."""
    packaged = PACKAGE / "recipes"
    return packaged if packaged.is_dir() else PACKAGE.parent / "recipes"
