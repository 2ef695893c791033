"""`ovsskit plan`: show a recipe as a tree of stages, with what each reads and writes."""

from __future__ import annotations

from typing import Annotated

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import Plugins, Sets, load_plugins


def plan(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe file, or name of a shipped recipe.",
            autocompletion=complete_recipe,
        ),
    ],
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
