"""`ovsskit check`: find every problem of recipes without running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.options import Plugins, Sets, load_plugins


def check(
    recipes: Annotated[
        list[str],
        typer.Argument(help="Recipe files, names of shipped recipes, or folders of recipes."),
    ],
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Check recipes and study files: names, types, ranges, and whether the stages fit together."""
    from rich.markup import escape

    from ovsskit.cli.console import console, show_error
    from ovsskit.errors import OvsskitError, Problems
    from ovsskit.study.plan import check_file

    load_plugins(plugins)
    paths = [
        path
        for name in recipes
        for path in (
            sorted(map(str, Path(name).rglob("*.toml"))) if Path(name).is_dir() else [name]
        )
    ]
    found: list[OvsskitError] = []
    for path in paths:
        try:
            check_file(path, sets)
            console.print(f"[green]ok[/] {escape(str(path))}", highlight=False)
        except Problems as problems:
            found += problems.problems
        except OvsskitError as error:
            found.append(error)
    for problem in found:
        show_error(problem)
    if found:
        raise typer.Exit(2)
