"""`ovsskit plan`: show a recipe as a tree of stages, with what each reads and writes."""

from __future__ import annotations

from ovsskit.cli.options import (
    Plugins,
    Recipe,
    Sets,
    load_plugins,
)


def plan(
    recipe: Recipe,
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Show a recipe as a tree: stages, parameters, what they read and who wrote it."""
    from ovsskit.cli.console import Notes, show
    from ovsskit.engine.notices import hearing
    from ovsskit.recipe.build import load_recipe
    from ovsskit.run.output.plan_tree import plan_tree

    load_plugins(plugins)
    with hearing(Notes()):
        loaded = load_recipe(recipe, sets)
    show(plan_tree(loaded.plan, loaded.title, loaded.header.about))
