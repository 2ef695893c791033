"""`ovsskit stages`: list the stages, or explain one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovsskit.cli.completion import complete_stage
from ovsskit.cli.options import Plugins, load_plugins

PROSE = "what it does"
LOOK: dict[str, Any] = {
    "box": None,
    "header_style": "bold",
    "padding": (0, 2, 0, 0),
    "pad_edge": False,
}

if TYPE_CHECKING:
    from ovsskit.engine.stage import Stage


def stages(
    name: Annotated[
        str,
        typer.Argument(
            help="A stage or backbone to explain; without it, all are listed.",
            autocompletion=complete_stage,
        ),
    ] = "",
    plugins: Plugins = [],  # noqa: B006 - typer reads the default, nothing changes it
) -> None:
    """List every stage, or show one with its parameters, ranges and source."""
    from ovsskit.cli.console import Notes
    from ovsskit.engine.notices import hearing
    from ovsskit.errors import Place, UnknownStage, did_you_mean, first_of
    from ovsskit.recipe.registry import backbone_names, find_backbone, find_stage, stage_names
    from ovsskit.recipe.renamed import renew_address

    load_plugins(plugins)
    if not name:
        _list()
        return
    found: Any = find_stage(name) or find_backbone(name)
    if found is None:
        with hearing(Notes()):
            name = renew_address(name, Place("stages"))
        found = find_stage(name)
    if found is None:
        known = [*stage_names(), *backbone_names()]
        raise UnknownStage(
            f"There is no stage `{name}`.",
            there=f"Available: {first_of(known, 'ovsskit stages')}",
            fix=did_you_mean(name, known),
        )
    _explain(name, found)


def _list() -> None:
    from rich.table import Table

    from ovsskit.cli.console import console, show
    from ovsskit.engine.stage import own_slot
    from ovsskit.recipe.describe import summary
    from ovsskit.recipe.registry import backbone_names, find_backbone, find_stage, stage_names

    table = Table("stage", "reads", "writes", PROSE, **LOOK)
    for name in stage_names():
        cls = find_stage(name)
        if cls is not None:
            reads = ", ".join(_reads(cls))
            table.add_row(f"[cyan]{name}[/]", reads, own_slot(cls), summary(cls))
    show(table, prose=PROSE)
    table = Table("backbone", PROSE, **LOOK)
    for name in backbone_names():
        table.add_row(f"[magenta]{name}[/]", summary(find_backbone(name) or object))
    console.print()
    show(table, prose=PROSE)


def _explain(name: str, cls: Any) -> None:
    import inspect

    from rich.markup import escape
    from rich.table import Table

    from ovsskit.cli.console import console, show
    from ovsskit.engine.stage import Stage, own_slot
    from ovsskit.recipe.describe import field_rows

    console.print(f"[bold cyan]{name}[/]\n{escape(inspect.getdoc(cls) or '')}\n", highlight=False)
    if issubclass(cls, Stage):
        console.print(
            f"reads   {', '.join(_reads(cls))}\nwrites  {own_slot(cls)}\nversion {cls.version}\n",
            highlight=False,
        )
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("parameter", "may be", "default", "meaning"):
        table.add_column(column, overflow="fold")
    for row in field_rows(cls):
        table.add_row(
            f"[cyan]{row.name}[/]", escape(row.range), escape(row.default), escape(row.meaning)
        )
    show(table, prose="meaning")


def _reads(cls: type[Stage]) -> list[str]:
    from ovsskit.engine.stage import wiring

    plan = wiring(cls)
    return [*plan.reads, *plan.models]
