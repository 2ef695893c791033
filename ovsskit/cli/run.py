"""`ovsskit run`: segment images, and leave masks, overlays and a gallery in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.completion import complete_format
from ovsskit.cli.options import (
    Bands,
    Batch,
    Classes,
    ClassesFile,
    Device,
    Devices,
    Engine,
    Ignore,
    Limit,
    MaxPixels,
    Overlap,
    Plugins,
    Quiet,
    Recipe,
    Sets,
    ShardOption,
    Stretched,
    TruthClasses,
    Verify,
    Window,
    choose_reading,
    hide_bars,
    load_plugins,
)
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.shard import read_shard
from ovsskit.run.rasters.grid import USUAL, choose_windows


def run(
    recipe: Recipe,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs, addresses, a list (.txt), or - (standard input). "
            "Default: the recipe's own, else the sample scenes."
        ),
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    classes: Classes = None,
    classes_file: ClassesFile = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Output folder.", show_default="ovsskit-out/RECIPE")
    ] = None,
    sets: Sets = [],  # noqa: B006
    device: Device = "auto",
    devices: Devices = None,
    engine: Engine = "here",
    batch: Batch = "auto",
    limit: Limit = None,
    shard: ShardOption = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    stretch: Stretched = "percentile",
    bands: Bands = None,
    window: Window = USUAL.side,
    overlap: Overlap = USUAL.overlap,
    save_scores: Annotated[
        bool, typer.Option("--save-scores", help="Save the maps of all classes (.npz).")
    ] = False,
    save_confidence: Annotated[
        bool, typer.Option("--save-confidence", help="Save the winning score (16-bit PNG).")
    ] = False,
    explain: Annotated[
        list[str],
        typer.Option(
            "--explain",
            metavar="NAME",
            help="Save what every stage wrote for this image, for all, or for none.",
        ),
    ] = [],  # noqa: B006
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="Folder of true masks to compare with in the gallery."),
    ] = None,
    truth_classes: TruthClasses = None,
    ignore: Ignore = [255],  # noqa: B006
    export: Annotated[
        list[str],
        typer.Option(
            "--export",
            metavar="FORMAT",
            help="Export the masks at the end (`ovsskit export`).",
            autocompletion=complete_format,
        ),
    ] = [],  # noqa: B006
    frame_rate: Annotated[
        int | None,
        typer.Option(
            "--frame-rate",
            min=1,
            help="Treat a folder's images as frames, so many a second, and also write a video.",
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Measure the seconds of every stage; this slows a GPU down."
        ),
    ] = False,
    compile: Annotated[
        bool,
        typer.Option("--compile", help="Let torch compile networks: worthwhile for many images."),
    ] = False,
    verify: Verify = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object for each image, and one at the end."),
    ] = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Segment images: masks, overlays with a legend, and a gallery to look at them.

    If a run was stopped, the same command resumes it.
    """
    from ovsskit.cli.console import resumable
    from ovsskit.cli.export_report import export_each
    from ovsskit.cli.run_report import Report
    from ovsskit.export.registry import find_format
    from ovsskit.run.options import RunOptions, choose_devices
    from ovsskit.run.run import run_job

    for name in export:
        find_format(name)
    load_plugins(plugins)
    hide_bars(quiet=quiet)
    part = read_shard(shard)
    options = RunOptions(
        recipe=recipe,
        images=tuple(images),
        classes=classes,
        classes_file=classes_file,
        out=out,
        overrides=tuple(sets),
        device=device,
        devices=choose_devices(device, devices),
        engine=engine,
        batch=batch,
        limit=limit,
        shard=part,
        reading=choose_reading(max_pixels, stretch, bands),
        windows=choose_windows(window, overlap),
        profile=profile,
        compile=compile,
        save=frozenset(
            word
            for word, wanted in (("scores", save_scores), ("confidence", save_confidence))
            if wanted
        ),
        explain=tuple(explain),
        verify=verify,
        truth=truth,
        truth_classes=truth_classes,
        ignored=tuple(ignore),
        frame_rate=frame_rate,
    )
    with resumable(), Report(quiet=quiet, as_json=json) as report:
        status = run_job(options, report)
    with resumable():
        status = max(status, export_each(report.out, export, part, quiet=quiet, as_json=json))
    if status:
        raise typer.Exit(status)
