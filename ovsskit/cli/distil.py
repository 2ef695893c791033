"""`ovsskit distil`: teach a small, fast network what a recipe finds in images without labels."""

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
    Ignore,
    Limit,
    MaxPixels,
    Plugins,
    Quiet,
    Sets,
    Stretched,
    TruthClasses,
    Verify,
    choose_reading,
    hide_bars,
    load_plugins,
)
from ovsskit.files.inputs import MAX_PIXELS


def distil(
    teacher: Annotated[
        str,
        typer.Argument(
            help="Recipe file, or name of a shipped recipe, that labels the images.",
            autocompletion=complete_recipe,
        ),
    ],
    images: Annotated[
        list[str],
        typer.Option("--images", help="Files, folders, globs or addresses of unlabelled images."),
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    student: Annotated[
        str,
        typer.Option(
            "--student",
            metavar="NAME",
            help="The network to teach: segformer-tiny, segformer-b0 to -b5, deeplab-tiny, "
            "deeplab-r50, deeplab-r101, maskclip_plus, maskclip_plus-r101, vit.",
            show_default="segformer-b0, or the recipe's",
        ),
    ] = "",
    classes: Classes = None,
    classes_file: ClassesFile = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="Folder of true masks to score teacher and student with."),
    ] = None,
    truth_classes: TruthClasses = None,
    ignore: Ignore = [255],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Output folder.", show_default="ovsskit-distil/TEACHER"),
    ] = None,
    sets: Sets = [],  # noqa: B006
    device: Device = "auto",
    batch: Batch = "auto",
    limit: Limit = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    stretch: Stretched = "percentile",
    bands: Bands = None,
    verify: Verify = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Teach a small, fast network what a recipe finds in unlabelled images.

    The output folder holds a recipe that runs the student.
    If it was stopped, the same command resumes from the last saved state.
    """
    from ovsskit.cli.console import resumable
    from ovsskit.cli.distil_report import DistilReport
    from ovsskit.distil.distil import DistilOptions
    from ovsskit.distil.distil import distil as teach

    load_plugins(plugins)
    hide_bars(quiet=quiet)
    options = DistilOptions(
        teacher,
        classes=classes,
        classes_file=classes_file,
        out=out,
        overrides=(*sets, *([f"distil.student={student}"] if student else [])),
        device=device,
        images=tuple(images),
        batch=batch,
        limit=limit,
        reading=choose_reading(max_pixels, stretch, bands),
        truth=truth,
        truth_classes=truth_classes,
        ignored=tuple(ignore),
        verify=verify,
    )
    with resumable(), DistilReport(quiet=quiet) as report:
        teach(options, report)
