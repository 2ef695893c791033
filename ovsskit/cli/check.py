"""`ovsskit check`: find every problem of recipes without running them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.options import Plugins, Sets, load_plugins
from ovsskit.files.reading import why_no_path


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

    from ovsskit.cli.console import Notes, as_error, console, show_error
    from ovsskit.engine.notices import hearing
    from ovsskit.errors import Place
    from ovsskit.study.spec.plan import check_file

    load_plugins(plugins)
    found = []
    for path in [path for name in recipes for path in _files(name)]:
        try:
            with hearing(Notes()):
                check_file(path, sets)
            console.print(f"[green]ok[/] {escape(path)}", highlight=False)
        except Exception as error:  # whatever is wrong with one file, the others are checked
            if "--debug" in sys.argv:
                raise
            found.append(as_error(error, Place(path)))
    for problem in found:
        show_error(problem)
    if found:
        raise typer.Exit(max(problem.status for problem in found))


def _files(name: str) -> list[str]:
    """Return the recipes in a folder, or the name itself where it is none.

    Raises:
        MissingRecipe: the folder holds none.
    """
    from ovsskit.errors import MissingRecipe, Place

    if why_no_path(name) or not Path(name).is_dir():
        return [name]
    files = sorted(str(path) for path in Path(name).rglob("*.toml") if not path.is_dir())
    if not files:
        what = "There is no recipe in this folder, and none in the folders below it."
        raise MissingRecipe(what, fix="Recipes end in `.toml`.", where=Place(name))
    return files
