"""Where commands print: results to standard output, errors and progress to standard error."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from ovsskit.errors import OvsskitError, Problems

console = Console(soft_wrap=True)
stderr = Console(stderr=True, soft_wrap=True)


def show_error(error: OvsskitError) -> None:
    """Print an error, or every problem of a recipe: where, what, what there is, what would mend it."""
    if isinstance(error, Problems):
        for problem in error.problems:
            show_error(problem)
        return
    head, *lines = str(error).splitlines()
    stderr.print(f"[bold red]{escape(head)}[/]", highlight=False)
    for line in lines:
        stderr.print(escape(line), highlight=False)
