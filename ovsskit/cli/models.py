"""`ovsskit models`: which weights a recipe needs, whether they are here, and fetching them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.options import Plugins, Sets, load_plugins


def models(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe file, or name of a shipped one; without it, all shipped recipes."
        ),
    ] = "",
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch from the hub what is not here.")
    ] = False,
    convert: Annotated[
        Path | None,
        typer.Option(
            "--convert",
            help="Write a local checkpoint as safetensors into this file, tokenizer beside it.",
        ),
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="Count in what a study of it needs beside: its judge.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Let --convert replace a file that is there.")
    ] = False,
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Show which weights recipes need, whether they are here and fit, their size and licence; fetch or convert them."""
    from rich.markup import escape
    from rich.table import Table

    from ovsskit.cli.console import console, show, show_error, stderr
    from ovsskit.engine.model import PretrainedBackbone
    from ovsskit.engine.stage import use_of
    from ovsskit.errors import BadValue, BadWeights
    from ovsskit.files.shipped import recipe_folder
    from ovsskit.files.writing import see_free
    from ovsskit.hub.weights import check_content
    from ovsskit.recipe.build import Recipe, load_recipe
    from ovsskit.study.spec.plan import StudyOptions, read_search

    def read(name: str) -> Recipe:
        if study:
            return read_search(
                StudyOptions(name, overrides=tuple(sets)), set_is_settled=True
            ).candidate({})
        return load_recipe(name, sets)

    load_plugins(plugins)
    if convert is not None:
        see_free(convert, force=force)
    names = [recipe] if recipe else sorted(str(path) for path in recipe_folder().rglob("*.toml"))
    needed = {
        (use_of(type(model)), model.source, model.pinned): model
        for name in names
        for model in read(name).plan.models.values()
        if isinstance(model, PretrainedBackbone)
    }
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("backbone", "weights", "revision", "here", "content", "fits", "size", "licence"):
        table.add_column(column, overflow="fold", no_wrap=column in ("here", "content"))
    misfits, places, troubles = [], [], dict[str, None]()
    for (use, weights, revision), model in needed.items():
        info = model.describe_weights()
        if fetch and info.path is None:
            try:
                model.need_weights()
            except KeyboardInterrupt:
                stderr.print("stopped; run the same command to go on")
                raise typer.Exit(130) from None
            info = model.describe_weights()
        here = (
            {"embedded": "packaged", "local": "local", "hub": "cached"}[info.kind]
            if info.path
            else "no"
        )
        content = fits = ""
        if info.path is not None and info.kind != "embedded":
            try:
                content = "verified" if check_content(model.read_files()) else ""
                model.check_weights()
                fits = "yes"
            except BadWeights as error:
                content, fits = content or "damaged", "no"
                misfits.append(error)
        if info.trouble:
            troubles[info.trouble] = None
        size = f"{info.size / 1e6:,.1f} MB" if info.size else "unknown"
        if known := info.published:
            licence = f"licence: {known.licence}, {known.remark}"
            takes = f"the network takes {known.network / 1e6:,.0f} MB in fp32"
            places.append(
                "\n  ".join((weights, known.holds, f"from {known.where}", licence, takes))
            )
        table.add_row(
            use,
            escape(weights),
            "" if info.kind != "hub" else escape(revision),
            here,
            content,
            fits,
            size,
            info.licence or "unknown",
        )
    if not needed:
        console.print("No model of this recipe has weights.")
        return
    show(table)
    for trouble in troubles:
        console.print(f"Sizes and licences are not known: {escape(trouble)}.", highlight=False)
    for place in places:
        console.print(escape(place), highlight=False, soft_wrap=True)
    for misfit in misfits:
        show_error(misfit)
    if misfits:
        raise typer.Exit(2)
    if convert is not None:
        if len(needed) != 1:
            raise BadValue(
                "--convert writes the weights of one model.", fix="Name a recipe with one."
            )
        [model] = needed.values()
        model.convert_weights(convert)
        console.print(f"Written: {escape(str(convert))}", highlight=False)
