"""`ovsskit datasets`: list the data sets that are known, or show what is known of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovsskit.cli.completion import complete_dataset
from ovsskit.cli.stages import LOOK

if TYPE_CHECKING:
    from rich.table import Table

    from ovsskit.datasets.dataset import Facts
    from ovsskit.datasets.layout import Layout

SWATCH = "  "
"""What is painted in a class's colour."""


def datasets(
    name: Annotated[
        str,
        typer.Argument(
            help="A data set to show; without it, all are listed.",
            autocompletion=complete_dataset,
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the data sets that `eval` reads, or show one: classes, splits and file layouts."""
    from ovsskit.datasets.facts import dataset_names, facts_of

    found = [facts_of(one) for one in ([name] if name else dataset_names())]
    if as_json:
        _print_json(found, alone=bool(name))
    elif name:
        _show(found[0])
    else:
        _list(found)


def _print_json(found: list[Facts], *, alone: bool) -> None:
    import json

    from pydantic import TypeAdapter

    from ovsskit.datasets.dataset import Facts

    plain = [TypeAdapter(Facts).dump_python(one, mode="json") for one in found]
    print(json.dumps(plain[0] if alone else plain, ensure_ascii=False, indent=1))


def _list(found: list[Facts]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ovsskit.cli.console import show

    table = Table("data set", "classes", "split", "images", "layouts", "licence", **LOOK)
    for facts in found:
        split = facts.evaluated
        count = f"{len(facts.classes)}{'' if facts.background is None else ' with background'}"
        layouts = ", ".join(one.name for one in facts.layouts)
        row = (count, split.name, f"{split.images:,}", layouts, escape(facts.licence))
        table.add_row(f"[cyan]{facts.name}[/]", *row)
    show(table, prose="licence")


def _show(facts: Facts) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ovsskit.cli.console import console, show
    from ovsskit.datasets.facts import facts_of

    console.print(f"[bold cyan]{facts.name}[/]  {escape(facts.title)}", highlight=False)
    about = {
        "also called": ", ".join(facts.aliases),
        "homepage": facts.homepage,
        "licence": facts.licence,
        "sources": "; ".join(facts.sources),
    }
    for key, text in about.items():
        if text:
            console.print(f"{key}: {escape(text)}", highlight=False)
    splits = Table("split", "images", "", **LOOK)
    for split in facts.splits:
        splits.add_row(
            split.name, f"{split.images:,}", "papers report on it" if split.evaluated else ""
        )
    console.print()
    show(splits)
    layouts = Table("layout", "folder, or its end", "files", **LOOK)
    for layout in facts.layouts:
        layouts.add_row(layout.name, escape(layout.below), escape("\n".join(_files(layout))))
    console.print()
    show(layouts)
    console.print()
    coarse = facts_of(facts.coarse_of).classes if facts.coarse_of else ()
    show(_classes(facts, coarse))


def _files(layout: Layout) -> list[str]:
    """Return the patterns of a layout's files, one of each group on a line."""
    return [" or ".join(group) for group in layout.patterns]


def _classes(facts: Facts, fine: tuple[str, ...]) -> Table:
    """Return a table of classes; with `fine`, of the other data set's that each is made of."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from ovsskit.datasets.facts import palette_of

    table = Table("class", "", "name", "made of" if fine else "other words", **LOOK)
    for number, colour in enumerate(palette_of(facts.name)):
        name = facts.classes[number]
        parts = [one for one, into in zip(fine, facts.coarse, strict=True) if into == number]
        words = ", ".join(parts or facts.own_words.get(name, ()))
        swatch = Text(SWATCH, style="on #{:02x}{:02x}{:02x}".format(*colour))
        table.add_row(str(number), swatch, escape(name), escape(words))
    return table
