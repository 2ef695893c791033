"""`ovsskit models`: which weights a recipe needs, whether they are here, and fetching them."""

from __future__ import annotations

from typing import Annotated

import typer

from ovsskit.cli.options import Plugins, Sets, load_plugins


def models(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or name of a shipped one; without it, all shipped recipes.")] = "",
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch from the hub what is not here.")] = False,
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Show which weights recipes need, whether they are here, their size and licence; fetch them."""
    from rich.table import Table

    from ovsskit.cli.console import console
    from ovsskit.extends import recipe_folder
    from ovsskit.recipe import load_recipe
    from ovsskit.stage import use_of

    load_plugins(plugins)
    names = [recipe] if recipe else sorted(str(path) for path in recipe_folder().rglob("*.toml"))
    needed = {
        (use_of(type(model)), model.source, model.revision): model
        for name in names
        for model in load_recipe(name, sets).models.values()
    }
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("backbone", "weights", "revision", "here", "size", "licence"):
        table.add_column(column, overflow="fold")
    for (use, weights, revision), model in needed.items():
        info = model.describe_weights()
        if fetch and info.path is None:
            model.need_weights()
            info = model.describe_weights()
        here = {"embedded": "in the package", "local": "local file", "hub": "in the cache"}[info.kind] if info.path else "no"
        size = f"{info.size / 1e6:,.1f} MB" if info.size else "unknown"
        table.add_row(use, weights, "" if info.kind != "hub" else revision, here, size, info.licence or "unknown")
    console.print(table, highlight=False)
