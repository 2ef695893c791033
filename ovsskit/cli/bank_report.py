"""Tell a person how the building of a bank goes: a bar, then where the bank is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, progress_bar, show, stderr


class BankReport(LiveReport):
    """Show a progress bar, notices and a summary, or nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.progress = progress_bar(shown=not quiet and stderr.is_terminal)
        self.live = self.progress
        self.task = self.progress.add_task("images", total=None, visible=False)

    def begin(self, doing: str, total: int) -> None:
        """Show what begins."""
        self.progress.start()
        self.progress.reset(self.task, total=total, visible=True, description=doing, before=0)

    def tell(self, done: int) -> None:
        """Show that some steps are done."""
        self.progress.update(self.task, advance=done)

    def end(self, path: Path, summary: Mapping[str, str], use: str) -> None:
        """Show what came out, and how to use it."""
        self.progress.stop()
        if self.quiet:
            return
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for what, much in summary.items():
            table.add_row(what, much)
        table.add_row("bank", escape(str(path)))
        show(table)
        print(f"Use it: --set {use}={path}")
