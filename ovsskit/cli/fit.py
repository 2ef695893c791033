"""`ovsskit fit`: tune a recipe's model for a list of classes, from their words alone."""

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


def fit(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe file, or name of a shipped recipe, with a model that can be tuned.",
            autocompletion=complete_recipe,
        ),
    ],
    classes: Classes = None,
    classes_file: ClassesFile = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the weights.", show_default="ovsskit-fit/RECIPE"),
    ] = None,
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    device: Device = "auto",
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Read existing tuned weights, and check that they are intact."
        ),
    ] = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Tune a model for a list of classes without any image.

    Name the output folder as the weights afterwards.
    If tuning was stopped, the same command resumes from the last saved state.
    """
    from ovsskit.cli.console import resumable
    from ovsskit.cli.fit_report import FitReport
    from ovsskit.fit.fit import FitOptions, tune

    load_plugins(plugins)
    hide_bars(quiet=quiet)
    options = FitOptions(
        recipe,
        classes=classes,
        classes_file=classes_file,
        out=out,
        overrides=tuple(sets),
        device=device,
        verify=verify,
    )
    with resumable(), FitReport(quiet=quiet, recipe=recipe) as report:
        tune(options, report)
