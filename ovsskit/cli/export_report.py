"""Tell a person, or a program, how an export goes and what it wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, progress_bar, show, stderr
from ovsskit.cli.stages import LOOK
from ovsskit.export.registry import about_format, format_files
from ovsskit.files.shard import Shard

SHOWN_LEFT_OUT = 5


class ExportReport(LiveReport):
    """Show a progress bar, notices and what was written; or JSON; or nothing.

    With a `key` the JSON is an object that holds the record under it.
    """

    def __init__(self, *, quiet: bool, as_json: bool, key: str = "") -> None:
        self.quiet, self.as_json, self.key = quiet, as_json, key
        shown = not quiet and not as_json and stderr.is_terminal
        self.live = self.progress = progress_bar(shown=shown)
        self.task = self.progress.add_task("images", total=None, visible=False)

    def begin(self, total: int) -> None:
        """Show how many images there are."""
        self.progress.start()
        self.progress.reset(self.task, total=total, visible=bool(total))

    def tell(self, name: str, reason: str) -> None:
        """Show that an image is exported, or left out."""
        self.progress.advance(self.task)

    def end(self, folder: Path, record: dict[str, Any]) -> None:
        """Show what was written, what was lost and what was left out."""
        self.progress.stop()
        if self.as_json:
            print(json.dumps({self.key: record} if self.key else record))
            return
        if not self.quiet:
            show(_summary(folder, record))
        for one in record["left_out"][:SHOWN_LEFT_OUT]:
            line = escape(f"{one['name']}: {one['reason']}")
            stderr.print(f"[red]left out[/] {line}", highlight=False)
        more = len(record["left_out"]) - SHOWN_LEFT_OUT
        if more > 0:
            stderr.print(f"[red]left out[/] {more} more; export.json says why", highlight=False)


def left_out_of(record: dict[str, Any], shard: Shard) -> bool:
    """Tell whether images of a shard's own part were left out."""
    return any(shard.has(one["name"]) for one in record["left_out"])


def export_each(
    run: Path, names: Sequence[str], shard: Shard, *, quiet: bool, as_json: bool
) -> int:
    """Export a run, or a shard of it, that has ended in each of these formats.

    Return 1 if images of its part were left out, else 0.
    """
    from ovsskit.export.export import export_run
    from ovsskit.export.options import ExportOptions

    left_out = False
    for name in names:
        with ExportReport(quiet=quiet, as_json=as_json, key="export") as report:
            record = export_run(ExportOptions(run, name, shard=shard), report)
        left_out |= left_out_of(record, shard)
    return int(left_out)


def list_formats() -> None:
    """Print the formats, and what each is for."""
    table = Table("format", "what it is", **LOOK)
    for name in format_files():
        table.add_row(f"[cyan]{name}[/]", escape(about_format(name)))
    show(table, prose="what it is")


def _summary(folder: Path, record: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    images = record["images"]
    left = f", [red]{images['left_out']} left out[/]" if images["left_out"] else ""
    table.add_row("format", record["format"])
    table.add_row("images", f"{images['exported']} exported{left}")
    for what, count in record["losses"].items():
        table.add_row(escape(what), f"{count:,}")
    if not record["finished"]:
        table.add_row("still to come", "the images of other shards, and the files of the whole")
    table.add_row("folder", escape(str(folder)))
    return table
