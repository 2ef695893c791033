"""Tell a person how a comparison of two runs goes, and what differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, progress_bar, show, stderr
from ovsskit.errors import first_of

if TYPE_CHECKING:
    from ovsskit.compare.both_runs import BothRuns, Compared

SHOWN_CLASSES = 12


class CompareReport(LiveReport):
    """Show a progress bar, notices and what differs; or nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.live = self.progress = progress_bar("images", shown=not quiet and stderr.is_terminal)
        self.task = self.progress.add_task("images", total=None, visible=False)

    def begin(self, total: int) -> None:
        """Show how many steps there are: an image to count, or one to draw."""
        self.progress.start()
        self.progress.reset(self.task, total=total, visible=bool(total))

    def tell(self) -> None:
        """Show that a step is done."""
        self.progress.advance(self.task)

    def end(self, both: BothRuns, compared: Compared, facts: dict[str, str], page: Path) -> None:
        """Show what differs, and where the page lies."""
        self.progress.stop()
        if self.quiet:
            return
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, text in (*zip("AB", both.titles, strict=True), *facts.items()):
            table.add_row(name, escape(text))
        table.add_row("page", escape(str(page)))
        show(table)
        show(_classes(both, compared))


def facts_of(both: BothRuns, compared: Compared) -> dict[str, str]:
    """Return what there is to say of a comparison as a whole, by what it is about."""
    from ovsskit.compare.pixel_counts import disagreement

    sides = zip(both.only, "AB", strict=True)
    images = [
        f"{len(compared.images)} compared",
        *(f"{count} only in {side}" for count, side in sides if count),
        *([f"{both.changed} changed or gone since the runs"] if both.changed else []),
    ]
    facts = {
        "images": ", ".join(images),
        "agreement": f"{100 * (1 - disagreement(compared.counts)):.2f} % of the pixels",
    }
    if compared.miou is not None:
        first, second, count = compared.miou
        facts["mean of the images' mIoU"] = (
            f"{100 * first:.2f} (A) and {100 * second:.2f} (B), of {count} with true masks"
        )
    for names, side in zip(both.classes.only, "AB", strict=True):
        if names:
            facts[f"classes only in {side}"] = first_of(names)
    return facts


def _classes(both: BothRuns, compared: Compared) -> Table:
    """Return a table of the classes that differ most."""
    from ovsskit.compare.pixel_counts import class_differences

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("class")
    for name in ("share in A", "share in B", "IoU of A and B"):
        table.add_column(name, justify="right")
    found = class_differences(compared.counts)
    for one in found[:SHOWN_CLASSES]:
        cells = (f"{100 * value:.2f} %" for value in (one.first, one.second, one.iou))
        table.add_row(escape(both.classes.names[one.place]), *cells)
    if (more := len(found) - SHOWN_CLASSES) > 0:
        table.add_row(f"and {more} more", "", "", "")
    return table
