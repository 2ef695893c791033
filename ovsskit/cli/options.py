"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Sets = Annotated[
    list[str],
    typer.Option("--set", metavar="ADDRESS=VALUE", help="Change a parameter: threshold.at=0.3"),
]
Plugins = Annotated[
    list[Path],
    typer.Option("--plugin", metavar="FILE", help="Python file with stages or models of your own."),
]

Classes = Annotated[
    str | None,
    typer.Option("--classes", metavar="NAMES", help='The classes: "dog, cat, grass".'),
]
ClassesFile = Annotated[
    Path | None,
    typer.Option("--classes-file", help="Text file with one class on each line, then synonyms."),
]
TruthClasses = Annotated[
    Path | None,
    typer.Option("--truth-classes", help="What the numbers or colours of your own masks mean."),
]
Ignore = Annotated[
    list[int], typer.Option("--ignore", help="Numbers in the true masks that count nowhere.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
Batch = Annotated[
    str, typer.Option("--batch", help="Most items that a network sees at once, or auto.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Take the first N images only.")]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", min=1, help="Refuse images with more pixels.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def hide_bars(*, quiet: bool) -> None:
    """Let later downloads show no bars where nothing but errors is wanted."""
    if quiet:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def load_plugins(paths: Sequence[Path]) -> None:
    """Import the plugin files that the person named."""
    from ovsskit.recipe.registry import load_plugin

    for path in paths:
        load_plugin(path)
