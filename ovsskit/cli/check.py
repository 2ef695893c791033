"""`ovsskit check`: find every problem of recipes without running them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import Plugins, Sets, load_plugins
from ovsskit.files.reading import why_no_path

if TYPE_CHECKING:
    from ovsskit.errors import OvsskitError


def check(
    recipes: Annotated[
        list[str],
        typer.Argument(
            help="Recipe files, names of shipped recipes, or folders of recipes.",
            autocompletion=complete_recipe,
        ),
    ],
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every problem as JSON, for editors and CI.")
    ] = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Check recipes and study files: names, types, ranges, and whether the stages fit together."""
    import json

    from rich.markup import escape

    from ovsskit.cli.console import Notes, as_error, console, show_error
    from ovsskit.engine.notices import hearing
    from ovsskit.errors import Place
    from ovsskit.study.spec.check_file import check_file

    load_plugins(plugins)
    notes = Notes()
    notes.as_json = as_json
    found = {}
    for path in [path for name in recipes for path in _files(name)]:
        try:
            with hearing(notes):
                check_file(path, sets)
            if not as_json:
                console.print(f"[green]ok[/] {escape(path)}", highlight=False)
        except Exception as error:  # whatever is wrong with one file, the others are checked
            if "--debug" in sys.argv:
                raise
            found[path] = as_error(error, Place(path))
    if as_json:
        plain = [one for path, why in found.items() for one in _problems(path, why)]
        print(json.dumps(plain, ensure_ascii=False, indent=1))
    else:
        for problem in found.values():
            show_error(problem)
    if found:
        raise typer.Exit(max(problem.status for problem in found.values()))


def _problems(path: str, error: OvsskitError) -> list[dict[str, Any]]:
    """Return every problem of a recipe as plain data; `path` is where it is if it names no place.

    The line is None where the problem is of the whole file, or of an option of the command line.
    """
    from ovsskit.errors import Place, Problems

    plain = []
    for one in error.problems if isinstance(error, Problems) else [error]:
        where = one.where or Place(path)
        plain.append(
            {
                "recipe": path,
                "file": where.file,
                "line": where.line or None,
                "code": one.code,
                "title": one.title,
                "sentence": one.what,
                "there": one.there,
                "fix": one.fix,
            }
        )
    return plain


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
        what = "There is no recipe in this folder or below it."
        raise MissingRecipe(what, fix="Recipes end in `.toml`.", where=Place(name))
    return files
