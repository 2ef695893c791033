"""`ovsskit models`: which weights a recipe needs, whether they are here, and fetching them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import Plugins, Sets, load_plugins

if TYPE_CHECKING:
    from ovsskit.hub.weights import WeightsInfo
    from ovsskit.run.weights import Checked

HERE = {"embedded": "packaged", "local": "local", "hub": "cached"}
"""What stands in the table of weights that are here, by their kind."""


def models(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe file, or name of a shipped one; without it, all shipped recipes.",
            autocompletion=complete_recipe,
        ),
    ] = "",
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch missing weights from the hub.")
    ] = False,
    convert: Annotated[
        Path | None,
        typer.Option(
            "--convert",
            help="Write the backbone's local checkpoint as safetensors, tokenizer beside it.",
        ),
    ] = None,
    study: Annotated[
        bool,
        typer.Option("--study", help="Include what a study of it also needs: judge and reference."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Let --convert replace an existing file.")
    ] = False,
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Show which weights recipes need, whether they are here and fit; fetch or convert them."""
    from rich.markup import escape
    from rich.table import Table

    from ovsskit.cli.console import Notes, console, resumable, show, show_error
    from ovsskit.engine.notices import hearing
    from ovsskit.files.shipped import recipe_folder
    from ovsskit.files.writing import see_free
    from ovsskit.recipe.build import load_recipe
    from ovsskit.run.weights import check_model, convert_model, models_of
    from ovsskit.study.spec.read_search import recipes_of_study

    load_plugins(plugins)
    if convert is not None:
        see_free(convert, force=force)
    names = [recipe] if recipe else sorted(str(path) for path in recipe_folder().rglob("*.toml"))
    with hearing(Notes()):
        found = []
        for name in names:
            found += recipes_of_study(name, sets) if study else [load_recipe(name, sets)]
    needed = models_of(found)
    if not needed:
        console.print("No model of this recipe has weights.")
        return
    with resumable():
        checked = [check_model(model, fetch=fetch) for model in needed]
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("backbone", "weights", "revision", "here", "content", "fits", "size", "licence"):
        table.add_column(column, overflow="fold", no_wrap=column in ("here", "content"))
    for one in checked:
        for row in _rows(one):
            table.add_row(*map(escape, row))
    show(table)
    for trouble in dict.fromkeys(one.info.trouble for one in checked if one.info.trouble):
        console.print(f"Sizes and licences are unknown: {escape(trouble)}.", highlight=False)
    for info in [info for one in checked for info in (one.info, *one.parts)]:
        if known := info.published:
            lines = (
                info.weights,
                known.holds,
                f"from {known.where}",
                f"licence: {known.licence}, {known.remark}",
                f"the network takes {_bytes(known.network, 0)} in fp32",
            )
            console.print(escape("\n  ".join(lines)), highlight=False, soft_wrap=True)
    misfits = [one.misfit for one in checked if one.misfit is not None]
    for misfit in misfits:
        show_error(misfit)
    if misfits:
        raise typer.Exit(2)
    if convert is not None:
        convert_model(found, convert)
        console.print(f"Written: {escape(str(convert))}", highlight=False)


def _rows(one: Checked) -> list[tuple[str, ...]]:
    """Return the line of a model's weights, and those of the files beside them."""
    from ovsskit.engine.stage import use_of

    model, info = one.model, one.info
    use, revision = use_of(type(model)), model.pinned if info.kind == "hub" else ""
    lines = [(info, revision, one.content, one.fits), *((part, "", "", "") for part in one.parts)]
    return [
        (
            use,
            said.weights,
            pinned,
            here(said),
            content,
            fits,
            _size(said),
            said.licence or "unknown",
        )
        for said, pinned, content, fits in lines
    ]


def here(info: WeightsInfo) -> str:
    """Say whether weights are here, and where."""
    return "no" if info.path is None else HERE[info.kind]


def _size(info: WeightsInfo) -> str:
    return _bytes(info.size, 1) if info.size else "unknown"


def _bytes(count: int, digits: int) -> str:
    return f"{count / 1e6:,.{digits}f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"
