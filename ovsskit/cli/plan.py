"""`ovsskit plan`: show a recipe as a tree of stages, with what each reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovsskit.cli.options import Plugins, Sets, load_plugins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.tree import Tree

    from ovsskit.engine.stage import Stage
    from ovsskit.engine.wiring import Link


def plan(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or name of a shipped recipe.")],
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Show a recipe as a tree: stages, parameters, what they read, who wrote it, what they write."""
    from rich.markup import escape
    from rich.tree import Tree

    from ovsskit.cli.console import show
    from ovsskit.engine.stage import use_of
    from ovsskit.recipe.build import load_recipe

    load_plugins(plugins)
    loaded = load_recipe(recipe, sets)
    tree = Tree(f"[bold]{escape(loaded.title)}[/]  {escape(loaded.header.about)}")
    for name, model in loaded.plan.models.items():
        use, parameters = use_of(type(model)), escape(_parameters(model))
        tree.add(f"[magenta]{escape(name)}[/] = {use}  [dim]{parameters}[/]")
    _grow(tree, loaded.plan.stages, loaded.plan.links)
    show(tree)


def _grow(tree: Tree, stages: Sequence[Stage], links: Sequence[Link]) -> None:
    from rich.markup import escape

    for stage, link in zip(stages, links, strict=True):
        reads = [f"{escape(slot)} [dim]from {escape(by)}[/]" for slot, _, by in link.reads.values()]
        models = [f"[magenta]{escape(model)}[/]" for model in link.models.values()]
        slot, kind = link.writes
        network = " [yellow](network)[/]" if stage.batches else ""
        branch = tree.add(f"[bold cyan]{escape(link.node.address)}[/]{network}")
        parameters = _parameters(stage)
        if parameters:
            branch.add(f"[dim]{escape(parameters)}[/]")
        branch.add(f"reads {', '.join([*reads, *models])}")
        branch.add(f"writes [green]{slot}[/]: {kind}{escape(_shape(kind))}")
        if link.inner:
            _grow(branch.add("inner"), stage.inner, link.inner)  # type: ignore[attr-defined]


def _shape(kind: str) -> str:
    from ovsskit.engine import values
    from ovsskit.recipe.describe import axes

    named = axes(getattr(values, kind, None))
    return f" [{named}]" if named else ""


def _parameters(model: object) -> str:
    from ovsskit.recipe.describe import COMMON, toml

    fields = type(model).model_fields  # type: ignore[attr-defined]
    return ", ".join(
        f"{name} = {toml(getattr(model, name))}" for name in fields if name not in COMMON
    )
