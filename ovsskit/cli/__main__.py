"""The program `ovsskit`: its commands, and how it ends when something goes wrong."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ovsskit.cli.check import check
from ovsskit.cli.expand import expand
from ovsskit.cli.fit import fit
from ovsskit.cli.models import models
from ovsskit.cli.new import new
from ovsskit.cli.plan import plan
from ovsskit.cli.run import run
from ovsskit.cli.schema import schema
from ovsskit.cli.stages import stages
from ovsskit.cli.study import study

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, study, fit, check, plan, stages, new, expand, schema, models):
    app.command()(command)


def show_version(wanted: bool) -> bool:
    """Print the version and stop."""
    if wanted:
        from ovsskit import __version__

        print(f"ovsskit {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def start(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the program an error comes from.")
    ] = False,
) -> None:
    """Segment pictures by words, without training: a recipe says how, you say which classes to look for."""


def main() -> None:
    """Run the program; what goes wrong ends in a sentence and an exit status, with `--debug` in a traceback.

    The status is 0 if all went well, 1 if pictures failed or the disk was full, 2 for bad input before anything ran, 130
    after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    from rich.markup import escape

    from ovsskit.cli.console import show_error, stderr
    from ovsskit.errors import OvsskitError

    if isinstance(error, OvsskitError):
        show_error(error)
        return error.status
    stderr.print(
        f"[bold red]ovsskit failed[/]: {type(error).__name__}: {escape(str(error))}",
        highlight=False,
    )
    stderr.print(
        "This is an error of the program. `ovsskit --debug ...` shows where it comes from; please report it.",
        highlight=False,
    )
    return 1


if __name__ == "__main__":
    main()
