"""`ovsskit serve`: a local page on which to play with a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import (
    Bands,
    Batch,
    Classes,
    Device,
    Limit,
    MaxPixels,
    Plugins,
    Recipe,
    Sets,
    Stretched,
    choose_reading,
    load_plugins,
)
from ovsskit.files.inputs import MAX_PIXELS


def serve(
    recipe: Recipe,
    images: Annotated[
        list[str],
        typer.Argument(help="Files, folders, globs, or a list (.txt). Default: the sample scenes."),
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    against: Annotated[
        str,
        typer.Option(
            "--against",
            metavar="RECIPE",
            help="Another recipe to compare with.",
            autocompletion=complete_recipe,
        ),
    ] = "",
    classes: Classes = None,
    sets: Sets = [],  # noqa: B006
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes any free one.")
    ] = 7860,
    side: Annotated[
        int, typer.Option("--side", min=64, help="Shrink larger images to this many pixels.")
    ] = 1024,
    device: Device = "auto",
    batch: Batch = "auto",
    limit: Limit = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    stretch: Stretched = "percentile",
    bands: Bands = None,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Open a page on this machine: type words, move parameters, and see what changes at once."""
    from ovsskit.cli.console import Notes, console
    from ovsskit.serve.serve import ServeOptions
    from ovsskit.serve.serve import serve as answer

    load_plugins(plugins)
    options = ServeOptions(
        recipe=recipe,
        images=tuple(images),
        against=against,
        classes=classes,
        overrides=tuple(sets),
        port=port,
        side=side,
        device=device,
        batch=batch,
        limit=limit,
        reading=choose_reading(max_pixels, stretch, bands),
    )

    def ready(address: str) -> None:
        console.print(f"{address}\nStop it with Ctrl-C.", highlight=False)

    answer(options, Notes(), ready)
