"""`ovsskit sentences`: choose every class's sentences by images without labels."""

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
    Force,
    Images,
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


def sentences(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe file, or name of a shipped recipe, with a stage encode_text.",
            autocompletion=complete_recipe,
        ),
    ],
    images: Images = [],  # noqa: B006 - typer reads the default, nothing changes it
    classes: Classes = None,
    classes_file: ClassesFile = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The recipe to write.", show_default="RECIPE-sentences.toml"),
    ] = None,
    best: Annotated[
        int, typer.Option("--best", min=1, help="How many sentences each class gets.")
    ] = 4,
    sets: Sets = [],  # noqa: B006
    device: Device = "auto",
    batch: Batch = "auto",
    limit: Limit = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    stretch: Stretched = "percentile",
    bands: Bands = None,
    force: Force = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Choose each class's sentences using unlabelled images, and write a recipe with them.

    The recipe runs with each sentence alone; a class gets those with which it is surest.
    """
    from ovsskit.cli.sentences_report import SentencesReport
    from ovsskit.sentences.sentences import SentencesOptions, choose_sentences

    load_plugins(plugins)
    hide_bars(quiet=quiet)
    options = SentencesOptions(
        recipe=recipe,
        images=tuple(images),
        classes=classes,
        classes_file=classes_file,
        out=out,
        overrides=tuple(sets),
        device=device,
        batch=batch,
        limit=limit,
        reading=choose_reading(max_pixels, stretch, bands),
        best=best,
        force=force,
    )
    with SentencesReport(quiet=quiet) as report:
        choose_sentences(options, report)
