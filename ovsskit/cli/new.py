"""`ovsskit new`: start a recipe of one's own from a shipped one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.options import Force


def new(
    path: Annotated[Path, typer.Argument(help="The file to write.")],
    base: Annotated[
        str, typer.Option("--from", metavar="RECIPE", help="The shipped recipe to start from.")
    ] = "quickstart",
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Copy all stages instead of extending the shipped recipe."),
    ] = False,
    force: Force = False,
) -> None:
    """Start a recipe from a shipped one: a few lines that extend it, or a whole copy."""
    from rich.markup import escape

    from ovsskit.cli.console import console
    from ovsskit.recipe.scaffold import write_starter

    write_starter(path, base, whole=whole, force=force)
    console.print(
        f"wrote {escape(str(path))}\nnext: ovsskit check {escape(str(path))}", highlight=False
    )
