"""Tell a person how a comparison of two runs goes, and what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, progress_bar, show, stderr
from ovsskit.compare.compare import CompareCallbacks, facts_of

SHOWN_CLASSES = 12


class CompareReport(LiveReport, CompareCallbacks):
    """Show a progress bar, notices and what differs; or JSON; or nothing."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self.quiet, self.as_json = quiet, as_json
        shown = not (quiet or as_json) and stderr.is_terminal
        self.live = self.progress = progress_bar(shown=shown)
        self.task = self.progress.add_task("images", total=None, visible=False)

    def begin(self, total: int) -> None:
        """Show how many steps there are: an image to count, or one to draw."""
        self.progress.start()
        self.progress.reset(self.task, total=total, visible=bool(total))

    def tell(self) -> None:
        """Show that a step is done."""
        self.progress.advance(self.task)

    def end(self, record: Mapping[str, Any], page: Path) -> None:
        """Show what differs, and where the page lies."""
        self.progress.stop()
        if self.as_json:
            print(json.dumps({**record, "page": str(page)}, ensure_ascii=False))
        elif not self.quiet:
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
            for name, run in zip("AB", record["runs"], strict=True):
                table.add_row(name, escape(run["title"]))
            for name, text in (*facts_of(record).items(), ("page", str(page))):
                table.add_row(name, escape(text))
            show(table)
            show(_classes(record["classes"]))


def _classes(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of the classes that differ most."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("class")
    for name in ("share in A", "share in B", "IoU of A and B"):
        table.add_column(name, justify="right")
    for one in found[:SHOWN_CLASSES]:
        cells = (f"{100 * value:.2f} %" for value in (*one["share"], one["iou"]))
        table.add_row(escape(one["name"]), *cells)
    if (more := len(found) - SHOWN_CLASSES) > 0:
        table.add_row(f"and {more} more", "", "", "")
    return table
