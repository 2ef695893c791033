"""Tell a person, or a program, how an evaluation goes and what it found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, progress_bar, show, stderr
from ovsskit.cli.run_report import rate
from ovsskit.eval.counts import ImageCounts

METRICS = {
    "miou": "mIoU",
    "mean_accuracy": "mean accuracy",
    "pixel_accuracy": "pixel accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_iou": "boundary IoU",
    "calibration_error": "calibration error",
}
"""What metrics are called in the terminal, in the order of their rows."""
SHOWN_CLASSES = 30
SHOWN_LEFT_OUT = 5


class EvalReport(LiveReport):
    """Show a progress bar with the mean IoU so far, notices and the result; or JSON; or nothing."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self.quiet, self.as_json = quiet, as_json
        shown = not quiet and not as_json and stderr.is_terminal
        self.progress = progress_bar("{task.fields[detail]}", shown=shown)
        self.live = self.progress
        self.task = self.progress.add_task("images", total=None, visible=False, detail="")

    def begin(self, total: int) -> None:
        """Show how many images there are to do."""
        self.progress.reset(self.task, total=total, visible=bool(total), detail="")
        self.progress.start()

    def tell(self, counts: ImageCounts, miou: float) -> None:
        """Show that an image is counted, how fast it goes, and the mean IoU so far."""
        self.progress.advance(self.task)
        task = self.progress.tasks[0]
        speed = rate(task.completed / (task.elapsed or 1.0))
        self.progress.update(self.task, detail=f"{speed}, mIoU so far {100 * miou:.1f}")

    def end(self, folder: Path, record: dict[str, Any]) -> None:
        """Show the result, and where its record lies."""
        self.progress.stop()
        if self.as_json:
            print(json.dumps(record))
        elif self.quiet:
            self._left_out(record)
        else:
            show(_metrics(folder, record))
            show(_classes(record["classes"]))
            self._left_out(record)

    def _left_out(self, record: dict[str, Any]) -> None:
        for one in record["left_out"][:SHOWN_LEFT_OUT]:
            line = escape(f"{one['name']}: {one['reason']}")
            stderr.print(f"[red]left out[/] {line}", highlight=False)
        more = record["images"]["left_out"] - SHOWN_LEFT_OUT
        if more > 0:
            stderr.print(f"[red]left out[/] {more} more; images.jsonl says why", highlight=False)


def _metrics(folder: Path, record: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    data, images = record["dataset"], record["images"]
    table.add_row("recipe", escape(record["name"]))
    table.add_row("data set", escape(f"{data['title']}, {data['split']} ({data['layout']})"))
    left = f", [red]{images['left_out']} left out[/]" if images["left_out"] else ""
    few = data["images"] < data["published_images"]
    whole = f"; the published split has {data['published_images']:,}" if few else ""
    table.add_row("images", f"{images['counted']} of {data['images']} counted{left}{whole}")
    table.add_row("protocol", escape(record["protocol"]["name"]))
    low, high = record["interval"]["miou"]
    for key, name in METRICS.items():
        value = record["metrics"][key]
        if value is None:
            continue
        has_interval = key == "miou" and low is not None
        interval = f", 95 % within {100 * low:.2f} to {100 * high:.2f}" if has_interval else ""
        table.add_row(name, f"[bold]{100 * value:.2f}[/]{interval}")
    table.add_row("time", f"{record['costs']['seconds']:.1f} s")
    table.add_row("record", escape(str(folder / "eval.json")))
    table.add_row("report", escape(str(folder / "index.html")))
    return table


def _classes(classes: list[dict[str, Any]]) -> Table:
    """Return a table of the classes, the best first; of many, the best and the worst."""
    known = sorted((one for one in classes if one["iou"] is not None), key=lambda one: -one["iou"])
    half = SHOWN_CLASSES // 2
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("class")
    for name in ("IoU", "accuracy", "boundary IoU"):
        table.add_column(name, justify="right")
    for place, one in enumerate(known):
        if len(known) <= SHOWN_CLASSES or place < half or place >= len(known) - half:
            values = (one[key] for key in ("iou", "accuracy", "boundary_iou"))
            cells = ["-" if value is None else f"{100 * value:.2f}" for value in values]
            table.add_row(escape(one["name"]), *cells)
        elif place == half:
            table.add_row("...", "", "", "")
    return table
