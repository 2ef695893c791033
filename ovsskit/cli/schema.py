"""`ovsskit schema`: print the JSON Schema of recipes."""

from __future__ import annotations

from ovsskit.cli.options import Plugins, load_plugins


def schema(plugins: Plugins = []) -> None:  # noqa: B006 - nothing changes it
    """Print the JSON Schema of recipes, which lets editors complete and check them."""
    import json

    from ovsskit.recipe.schema import recipe_schema

    load_plugins(plugins)
    print(json.dumps(recipe_schema(), indent=2))
