"""`ovsskit models`: which weights a recipe needs, whether they are here, and fetching them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import Plugins, Sets, load_plugins

if TYPE_CHECKING:
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
        table.add_row(*map(escape, _row(one)))
    show(table)
    for trouble in dict.fromkeys(one.info.trouble for one in checked if one.info.trouble):
        console.print(f"Sizes and licences are unknown: {escape(trouble)}.", highlight=False)
    for one in checked:
        if known := one.info.published:
            lines = (
                one.model.source,
                known.holds,
                f"from {known.where}",
                f"licence: {known.licence}, {known.remark}",
                f"the network takes {known.network / 1e6:,.0f} MB in fp32",
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


def _row(one: Checked) -> tuple[str, ...]:
    from ovsskit.engine.stage import use_of

    model, info = one.model, one.info
    here = HERE[info.kind] if info.path else "no"
    revision = model.pinned if info.kind == "hub" else ""
    size = f"{info.size / 1e6:,.1f} MB" if info.size else "unknown"
    licence = info.licence or "unknown"
    use = use_of(type(model))
    return use, model.source, revision, here, one.content, one.fits, size, licence
