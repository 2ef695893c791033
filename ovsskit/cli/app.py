"""The commands of the program `ovsskit`."""

from __future__ import annotations

from typing import Annotated

import typer

from ovsskit.cli.bank import bank
from ovsskit.cli.check import check
from ovsskit.cli.compare import compare
from ovsskit.cli.datasets import datasets
from ovsskit.cli.distil import distil
from ovsskit.cli.eval import eval
from ovsskit.cli.expand import expand
from ovsskit.cli.export import export
from ovsskit.cli.fit import fit
from ovsskit.cli.models import models
from ovsskit.cli.new import new
from ovsskit.cli.plan import plan
from ovsskit.cli.recipes import recipes
from ovsskit.cli.report import report
from ovsskit.cli.reproduce import reproduce
from ovsskit.cli.run import run
from ovsskit.cli.schema import schema
from ovsskit.cli.sentences import sentences
from ovsskit.cli.serve import serve
from ovsskit.cli.stages import stages
from ovsskit.cli.study import study
from ovsskit.cli.words import words

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    run,
    eval,
    compare,
    export,
    reproduce,
    report,
    study,
    fit,
    distil,
    check,
    plan,
    stages,
    recipes,
    new,
    expand,
    sentences,
    words,
    schema,
    models,
    datasets,
    serve,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(bank, name="bank")


def show_version(wanted: bool) -> bool:
    """Print the version and stop."""
    if wanted:
        from ovsskit._version import __version__

        print(f"ovsskit {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def start(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Segment images by words, without training. A recipe says how; you say which classes."""
