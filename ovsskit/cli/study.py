"""`ovsskit study`: search parameters of a recipe, and leave a better one and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import (
    Bands,
    Batch,
    Classes,
    ClassesFile,
    Device,
    Limit,
    MaxPixels,
    Plugins,
    Quiet,
    Sets,
    Stretched,
    choose_reading,
    hide_bars,
    load_plugins,
)
from ovsskit.files.inputs import MAX_PIXELS

KEPT = 3
"""The exit status of a study that keeps the unchanged recipe."""


def study(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Study file, recipe file, or name of a shipped recipe; "
            "or `compare`, followed by the folders of finished studies.",
            autocompletion=complete_recipe,
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs, or a list (.txt). "
            "Default: the study's own, else as for `run`."
        ),
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    classes: Classes = None,
    classes_file: ClassesFile = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Output folder.", show_default="ovsskit-studies/NAME"),
    ] = None,
    objective: Annotated[
        list[str],
        typer.Option(
            "--objective",
            help="What to improve: a stage that writes `reward`, several joined by *, or a metric.",
        ),
    ] = [],  # noqa: B006
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="RECIPE",
            help="A recipe on another model, at least as good, to compare labels with.",
            autocompletion=complete_recipe,
        ),
    ] = None,
    accept: Annotated[
        str | None,
        typer.Option(
            "--accept",
            help="proved: take the best trial only if it is proved better; best: take it anyway.",
            show_default="proved",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", help="How many candidates to try.", show_default="100")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="The same seed tries the same candidates.", show_default="0"),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            "--sampler", help="tpe, gp, random, grid, cmaes, annealing.", show_default="tpe"
        ),
    ] = None,
    pruner: Annotated[
        str | None, typer.Option("--pruner", help="none, wilcoxon, halving.", show_default="none")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="A published protocol: pnp_ovss, pnp_ovss_annealing."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Number of processes; on GPUs, one for each.",
            show_default="1; with Ray, as many as fit",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="here, or ray: workers are tasks of a Ray cluster.")
    ] = "here",
    storage: Annotated[
        str,
        typer.Option(
            "--storage",
            metavar="URL",
            help="PostgreSQL server that machines share. Default: the study's folder.",
        ),
    ] = "",
    sets: Sets = [],  # noqa: B006
    device: Device = "auto",
    batch: Batch = "auto",
    limit: Limit = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    stretch: Stretched = "percentile",
    bands: Bands = None,
    keep_memory: Annotated[
        float,
        typer.Option(
            "--keep-memory",
            metavar="GB",
            min=0,
            help="Network outputs to cache in memory.",
        ),
    ] = 1.0,
    keep_disk: Annotated[
        float,
        typer.Option("--keep-disk", metavar="GB", min=0, help="Network outputs to cache on disk."),
    ] = 10.0,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object for each trial, and one at the end."),
    ] = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Search for better parameters of a recipe, with or without masks, and write a report.

    If a study was stopped, the same command resumes it.
    """
    if recipe == "compare":
        compare_studies([Path(folder) for folder in images], as_json=json)
        return
    from ovsskit.cli.console import resumable
    from ovsskit.cli.study_report import StudyReport
    from ovsskit.study.spec.options import StudyOptions
    from ovsskit.study.study import search

    load_plugins(plugins)
    hide_bars(quiet=quiet)
    options = StudyOptions(
        recipe=recipe,
        images=tuple(images),
        classes=classes,
        classes_file=classes_file,
        out=out,
        overrides=tuple(sets),
        objectives=tuple(objective),
        settings={
            "trials": trials,
            "seed": seed,
            "sampler": sampler,
            "pruner": pruner,
            "preset": preset,
            "reference": reference,
            "accept": accept,
        },
        storage=storage,
        workers=workers,
        engine=engine,
        device=device,
        batch=batch,
        limit=limit,
        reading=choose_reading(max_pixels, stretch, bands),
        plugins=tuple(plugins),
    )
    with resumable(), StudyReport(quiet=quiet, as_json=json) as report:
        state = search(options, report, keep_memory, keep_disk)
    if state.best is None:
        raise typer.Exit(1)
    if state.chosen is None:
        raise typer.Exit(KEPT)


def compare_studies(folders: list[Path], *, as_json: bool) -> None:
    """Print finished studies side by side."""
    from json import dumps

    from ovsskit.cli.console import console, show
    from ovsskit.cli.study_report import comparison_tables
    from ovsskit.study.report.compare import compare

    found = compare(folders)
    if as_json:
        print(dumps(found))
        return
    for table in comparison_tables(found):
        show(table)
        console.print()
