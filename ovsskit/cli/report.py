"""`ovsskit report`: make tables of results, and compare two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ovsskit.cli.options import Force


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="Folders that `ovsskit eval` wrote, or the eval.json in them."),
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Also show the IoU of every class.")
    ] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--compare", metavar="A B", help="Show how B differs from A, with confidence intervals."
        ),
    ] = None,
    form: Annotated[
        Literal["terminal", "markdown", "latex", "html"],
        typer.Option("--format", help="The form of the tables."),
    ] = "terminal",
    out: Annotated[Path | None, typer.Option("--out", help="Write the tables to a file.")] = None,
    force: Force = False,
) -> None:
    """Make tables of results that show the protocol of every number."""
    from ovsskit.cli.console import console, show
    from ovsskit.errors import BadValue, Place
    from ovsskit.files.writing import see_free, write_text
    from ovsskit.report.compare import compare as compare_results
    from ovsskit.report.compare import comparison_table
    from ovsskit.report.grid import rich_table, to_text
    from ovsskit.report.results import read_result
    from ovsskit.report.tables import class_tables, result_table, setting_table

    paths = list(dict.fromkeys([*results, *(compare or ())]))
    if not paths:
        fix = "Name folders that `ovsskit eval` wrote."
        raise BadValue("No result is named.", fix=fix, where=Place("RESULTS"))
    if out is not None:
        see_free(out, force=force)
    found = {path: read_result(path) for path in paths}
    grids = [result_table(list(found.values())), setting_table(list(found.values()))]
    if per_class:
        grids += class_tables(list(found.values()))
    if compare is not None:
        first, second = compare
        grids.append(comparison_table(compare_results(found[first], found[second])))
    if form == "terminal" and out is None:
        for grid in grids:
            console.print(f"[bold]{grid.title}[/]")
            show(rich_table(grid))
            for note in grid.notes:
                console.print(note, highlight=False, markup=False)
            console.print()
        return
    text = to_text(grids, form, "Results")
    if out is None:
        print(text)
    else:
        write_text(out, text)
        console.print(f"wrote {out}", highlight=False, markup=False)
