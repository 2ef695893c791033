"""Hold a table of text, and write it for a terminal, in Markdown, LaTeX or HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ovsskit.run.output.page import render_page

Format = Literal["terminal", "markdown", "latex", "html"]
FORMATS: tuple[Format, ...] = ("terminal", "markdown", "latex", "html")

LATEX = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
"""What letters that LaTeX would obey are written as."""


@dataclass(frozen=True)
class Grid:
    """Hold a table: its title, the names of its columns, its rows, and notes below it.

    `words` names the columns that hold words; the others hold numbers and stand to the right.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[str] = frozenset()
    notes: Sequence[str] = field(default_factory=tuple)


def rich_table(grid: Grid, edges: box.Box | None = None) -> Table:
    """Return a table to print."""
    table = Table(box=edges, padding=(0, 1) if edges else (0, 2, 0, 0))
    for name in grid.columns:
        table.add_column(escape(name), justify="left" if name in grid.words else "right")
    for row in grid.rows:
        table.add_row(*map(escape, row))
    return table


def markdown(grids: Sequence[Grid]) -> str:
    """Return tables as Markdown."""
    return "\n".join(_markdown(grid) for grid in grids)


def _markdown(grid: Grid) -> str:
    lines = [f"### {grid.title}", ""]
    rows = [grid.columns, *grid.rows]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines.append(f"| {' | '.join(cells[0])} |")
    marks = ["---" if name in grid.words else "---:" for name in grid.columns]
    lines.append(f"| {' | '.join(marks)} |")
    lines += [f"| {' | '.join(row)} |" for row in cells[1:]]
    return "\n".join([*lines, "", *(f"{note}\n" for note in grid.notes)])


def latex(grids: Sequence[Grid]) -> str:
    """Return tables as LaTeX that needs the package booktabs."""
    return "\n".join(_latex(grid) for grid in grids)


def _latex(grid: Grid) -> str:
    kinds = "".join("l" if name in grid.words else "r" for name in grid.columns)
    rows = [r" & ".join(map(_to_latex, row)) + r" \\" for row in (grid.columns, *grid.rows)]
    notes = [rf"\par\footnotesize {_to_latex(note)}" for note in grid.notes]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_to_latex(grid.title)}}}",
            r"\centering",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )


def _to_latex(text: str) -> str:
    return re.sub(r"[\\&%$#_{}~^]", lambda found: LATEX[found.group()], text)


def html(grids: Sequence[Grid], title: str) -> str:
    """Return tables as a page that opens from disk."""
    return render_page("ovsskit.report", "tables.html", title=title, grids=grids)


def to_text(grids: Sequence[Grid], form: Format, title: str) -> str:
    """Return tables in a form, as text to write into a file."""
    if form == "markdown":
        return markdown(grids)
    if form == "latex":
        return latex(grids)
    if form == "html":
        return html(grids, title)
    console = Console(width=10_000, no_color=True)
    with console.capture() as captured:
        for grid in grids:
            console.print(f"{grid.title}\n", highlight=False)
            console.print(rich_table(grid))
            for note in grid.notes:
                console.print(note, highlight=False)
    return captured.get()
