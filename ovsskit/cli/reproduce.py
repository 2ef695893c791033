"""`ovsskit reproduce`: measure what recipes' methods are published to reach, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import (
    Batch,
    Device,
    Limit,
    MaxPixels,
    Plugins,
    Quiet,
    Sets,
    hide_bars,
    load_plugins,
)
from ovsskit.files.inputs import MAX_PIXELS


def reproduce(
    recipes: Annotated[
        list[str],
        typer.Argument(
            help="Recipe files, or names of shipped recipes.",
            autocompletion=complete_recipe,
        ),
    ],
    root: Annotated[Path, typer.Option("--root", help="The folder that holds the data sets.")],
    variants: Annotated[
        bool, typer.Option("--variants", help="Also measure their variants for other data sets.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="Points by which a number may differ.")
    ] = 0.3,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the evaluations, each in its own.")
    ] = Path("ovsskit-reproduce"),
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    device: Device = "auto",
    batch: Batch = "auto",
    limit: Limit = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    json: Annotated[bool, typer.Option("--json", help="Print the comparisons as JSON.")] = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Measure the published numbers of recipes on the data sets that you have, and compare.

    The exit status is 0 if all comparable numbers are within the tolerance, 1 if one is not,
    and 3 if none can be compared. If it was stopped, the same command resumes it.
    """
    from ovsskit.cli.console import resumable
    from ovsskit.cli.reproduce_report import ReproduceReport
    from ovsskit.reproduce.comparison import exit_status
    from ovsskit.reproduce.options import ReproduceOptions
    from ovsskit.reproduce.reproduce import reproduce as measure

    load_plugins(plugins)
    hide_bars(quiet=quiet)
    options = ReproduceOptions(
        tuple(recipes),
        root,
        variants,
        out,
        tuple(sets),
        device,
        batch,
        limit,
        max_pixels,
        tolerance,
    )
    with resumable(), ReproduceReport(quiet=quiet, as_json=json) as report:
        found = measure(options, report)
        report.compare(found)
    raise typer.Exit(exit_status(found))
