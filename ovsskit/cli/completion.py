"""What a shell proposes after a tab: recipes, data sets, stages, addresses, formats, protocols.

`ovsskit --install-completion` sets it up for the shell in use. Nothing is proposed for what cannot
be read: a tab never ends in an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ovsskit.recipe.build import Recipe


def complete_recipe(incomplete: str) -> list[str]:
    """Return the shipped recipes, and the TOML files and folders, that begin so."""
    from ovsskit.files.shipped import recipe_folder

    shipped = sorted(path.stem for path in recipe_folder().glob("*.toml"))
    return [*_begin(shipped, incomplete), *_files(incomplete)]


def _files(incomplete: str) -> Iterator[str]:
    """Yield TOML files, and folders with a slash behind them; hidden ones if the text asks so."""
    folder, begun = Path(incomplete or ".").parent, Path(incomplete).name
    if incomplete.endswith("/"):
        folder, begun = Path(incomplete), ""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    for path in found:
        hidden = path.name.startswith(".") and not begun
        if path.name.startswith(begun) and not hidden:
            if path.is_dir():
                yield f"{path}/"
            elif path.suffix == ".toml":
                yield str(path)


def complete_dataset(incomplete: str) -> list[str]:
    """Return the data sets that begin so."""
    from ovsskit.datasets.facts import dataset_names

    return _begin(dataset_names(), incomplete)


def complete_stage(incomplete: str) -> list[str]:
    """Return the stages and backbones that begin so."""
    from ovsskit.recipe.registry import backbone_names, stage_names

    return _begin(sorted([*stage_names(), *backbone_names()]), incomplete)


def complete_address(ctx: click.Context, incomplete: str) -> list[str]:
    """Return the addresses of the recipe that was named, each with an equals sign."""
    from ovsskit.errors import OvsskitError
    from ovsskit.recipe.build import load_recipe

    for name in ctx.args:  # the option lacks its value: click has parsed no argument yet
        with suppress(OvsskitError):
            recipe = load_recipe(name)
            return [f"{one}=" for one in _addresses(recipe) if one.startswith(incomplete)]
    return []


def _addresses(recipe: Recipe) -> Iterator[str]:
    """Yield the address of every parameter of a recipe's stages and models."""
    from ovsskit.engine.stage import walk
    from ovsskit.recipe.describe import COMMON

    models = {
        name if name == "backbone" else f"models.{name}": model
        for name, model in recipe.plan.models.items()
    }
    stages = {stage.address: stage for stage in walk(recipe.plan.stages)}
    for owner, one in {**stages, **models}.items():
        for name in type(one).model_fields:
            if name not in COMMON:
                yield f"{owner}.{name}"


def complete_format(incomplete: str) -> list[str]:
    """Return the formats of exports that begin so."""
    from ovsskit.export.registry import format_files

    return _begin(sorted(format_files()), incomplete)


def complete_protocol(incomplete: str) -> list[str]:
    """Return the protocols of evaluations that begin so."""
    from ovsskit.datasets.protocol import PROTOCOLS

    return _begin(sorted(PROTOCOLS), incomplete)


def _begin(names: Sequence[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
