"""`ovsskit bank build`: learn from images without labels what things look like to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import (
    Classes,
    ClassesFile,
    Device,
    Plugins,
    Quiet,
    Sets,
    hide_bars,
    load_plugins,
)

bank = typer.Typer(
    help="Make a bank: what things look like to a model.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@bank.command("build")
def build(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe file, or name of a shipped recipe, that reads a bank.",
            autocompletion=complete_recipe,
        ),
    ],
    images: Annotated[
        list[str],
        typer.Option("--images", help="Folder of unlabelled images; also files and globs."),
    ],
    classes: Classes = None,
    classes_file: ClassesFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="File to write.", show_default="ovsskit-bank/RECIPE.safetensors"
        ),
    ] = None,
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Learn from unlabelled images what classes look like, or what their regions look like.

    The recipe says which, by its stage read_bank or retrieve.

    A build that was stopped goes on when the same command is given again: what the models made of
    an image is kept in the user's cache.
    """
    from ovsskit.bank.build import BankOptions, build_bank
    from ovsskit.cli.bank_report import BankReport
    from ovsskit.cli.console import resumable

    load_plugins(plugins)
    hide_bars(quiet=quiet)
    options = BankOptions(
        recipe,
        classes=classes,
        classes_file=classes_file,
        out=out,
        overrides=tuple(sets),
        device=device,
        images=tuple(images),
        force=force,
    )
    with resumable(), BankReport(quiet=quiet) as report:
        build_bank(options, report)
