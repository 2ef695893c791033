"""Options that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.completion import complete_address, complete_recipe
from ovsskit.engine.rendering import STRETCHES, Reading, Rendering, Stretch
from ovsskit.errors import BadValue, Place
from ovsskit.run.rasters.grid import SMALLEST

Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="ADDRESS=VALUE",
        help="Change a parameter: threshold.at=0.3",
        autocompletion=complete_address,
    ),
]
Plugins = Annotated[
    list[Path],
    typer.Option("--plugin", metavar="FILE", help="Python file with your own stages or models."),
]

Recipe = Annotated[
    str,
    typer.Argument(
        help="Recipe file, or name of a shipped recipe.", autocompletion=complete_recipe
    ),
]
Images = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders, globs, or a list (.txt). "
        "Default: the recipe's own, else the sample scenes."
    ),
]
Classes = Annotated[
    str | None,
    typer.Option("--classes", metavar="NAMES", help='The classes: "dog, cat, grass".'),
]
ClassesFile = Annotated[
    Path | None,
    typer.Option(
        "--classes-file", help="Text file with one class on each line, followed by its synonyms."
    ),
]
TruthClasses = Annotated[
    Path | None,
    typer.Option(
        "--truth-classes", help="File that says what the numbers or colours of your masks mean."
    ),
]
Ignore = Annotated[
    list[int], typer.Option("--ignore", help="Numbers in the true masks that are not counted.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
Batch = Annotated[
    str,
    typer.Option("--batch", help="Largest number of items that a network sees at once, or auto."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Use only the first N images.")]
Devices = Annotated[
    str | None,
    typer.Option(
        "--devices", metavar="0,1", help="Run a replica on each of these: 0,1 or cpu,cpu."
    ),
]
Engine = Annotated[
    str, typer.Option("--engine", help="here, or ray: actors of a Ray cluster process the images.")
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="2/4",
        help="Do the second part of four, while others do the rest; auto asks torchrun or SLURM.",
    ),
]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", min=1, help="Refuse images with more pixels.")
]
Stretched = Annotated[
    str,
    typer.Option(
        "--stretch",
        metavar="RULE",
        help="How numbers of more than 8 bits become black to white: "
        "percentile, minmax, none, or two numbers, 0,3000.",
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(
        "--bands", metavar="4,3,2", help="Bands to show as red, green and blue; or one for grey."
    ),
]
Window = Annotated[
    int,
    typer.Option(
        "--window", min=SMALLEST, help="Side of the windows in which rasters run, in pixels."
    ),
]
Overlap = Annotated[
    int,
    typer.Option("--overlap", min=0, help="Pixels that neighbouring windows share; at most half."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Read existing results, and redo what has changed."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]


def hide_bars(*, quiet: bool) -> None:
    """Let later downloads show no bars where nothing but errors is wanted."""
    if quiet:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def choose_reading(max_pixels: int, stretch: str, bands: str | None) -> Reading:
    """Return how images are read.

    Raises:
        BadValue: there is no such rule, or the bands are not one number or three, counted from 1.
    """
    numbers = [] if bands is None else [part.strip() for part in bands.split(",")]
    named = tuple(int(part) for part in numbers if part.isdecimal() and int(part) > 0)
    if len(named) != len(numbers) or len(named) not in (0, 1, 3):
        fix = "Name three for red, green and blue, or one: --bands 4,3,2."
        raise BadValue(f"`{bands}` does not name bands.", fix=fix, where=Place("--bands"))
    return Reading(max_pixels, Rendering(_read_stretch(stretch), named))


def _read_stretch(text: str) -> Stretch | tuple[float, float]:
    for rule in STRETCHES:
        if text == rule:
            return rule
    with suppress(ValueError):  # there are not two, or they are no numbers
        low, high = map(float, text.split(","))
        if -math.inf < low < high < math.inf:
            return low, high
    what = f"`{text}` does not say which numbers become black and white."
    fix = f"Give {', '.join(STRETCHES)}, or the two numbers, the smaller first: --stretch 0,3000."
    raise BadValue(what, fix=fix, where=Place("--stretch"))


def load_plugins(paths: Sequence[Path]) -> None:
    """Import the plugin files that the person named."""
    from ovsskit.recipe.registry import load_plugin

    for path in paths:
        load_plugin(path)
