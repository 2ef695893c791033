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
    typer.Option("--plugin", metavar="FILE", help="Python file with stages of your own."),
]


def hide_bars(*, quiet: bool) -> None:
    """Let downloads from the hub show no bars where nothing but errors is wanted; call it before they begin."""
    if quiet:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def load_plugins(paths: Sequence[Path]) -> None:
    """Import the plugin files that the person named."""
    from ovsskit.recipe.registry import load_plugin

    for path in paths:
        load_plugin(path)
