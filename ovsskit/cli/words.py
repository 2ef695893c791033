"""`ovsskit words`: audit the words of classes by images without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    Recipe,
    Sets,
    Stretched,
    choose_reading,
    hide_bars,
    load_plugins,
)
from ovsskit.files.inputs import MAX_PIXELS


def words(
    recipe: Recipe,
    images: Images = [],  # noqa: B006 - typer reads the default, nothing changes it
    classes: Classes = None,
    classes_file: ClassesFile = None,
    synonyms: Annotated[
        list[Path],
        typer.Option(
            "--synonyms",
            metavar="FILE",
            help="File with other words to try, with a line `cat: kitten, tabby` for each class.",
        ),
    ] = [],  # noqa: B006
    distractors: Annotated[
        Path | None,
        typer.Option(
            "--distractors",
            metavar="FILE",
            help="Text file with words to try besides the classes, one on each line.",
            show_default="common things and stuff",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The class file to write.", show_default="RECIPE-words.txt"),
    ] = None,
    sets: Sets = [],  # noqa: B006
    device: Device = "auto",
    batch: Batch = "auto",
    limit: Limit = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    stretch: Stretched = "percentile",
    bands: Bands = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Audit class names on unlabelled images, and propose better ones in a file for review.

    It shows which classes never win, which look nearly the same to the model, how much other words
    change, and which words win beside the names.
    """
    from ovsskit.cli.words_report import WordsReport
    from ovsskit.words.words import WordsOptions, audit_words

    load_plugins(plugins)
    hide_bars(quiet=quiet)
    options = WordsOptions(
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
        synonyms=tuple(synonyms),
        distractors=distractors,
        force=force,
    )
    again = [
        *(part for one in sets for part in ("--set", one)),
        *(part for one in plugins for part in ("--plugin", str(one))),
    ]
    with WordsReport(quiet=quiet, as_json=json, more=again) as report:
        audit_words(options, report)
