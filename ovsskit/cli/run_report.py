"""Tell a person, or a program, how a run goes.

Progress and notices go to standard error, results to standard output.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, console, progress_bar, show, stderr
from ovsskit.run.callbacks import Summary
from ovsskit.run.output.record import ImageRecord

SHOWN_NOTES = 5
"""On how many images notes are printed; the records and the gallery hold all."""
SHOWN_FAILED = 100
"""Of how many images that failed the reason is printed; the records hold all."""


class Report(LiveReport):
    """Show a progress bar, notices, failures and a summary; or lines of JSON; or nothing.

    `out` is the folder of the run, once it has ended.
    """

    out = Path()

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self.quiet, self.as_json = quiet, as_json
        shown = not quiet and not as_json and stderr.is_terminal
        self.progress = progress_bar("{task.fields[rate]}", shown=shown)
        self.live = self.progress
        self.task = self.progress.add_task("images", total=None, visible=False, rate="")

    def begin(self, total: int) -> None:
        """Show how many images there are to do."""
        self.progress.start()
        self.progress.reset(self.task, total=total, visible=bool(total))

    def tell(self, record: ImageRecord) -> None:
        """Show that an image is done, or why it failed."""
        task = self.progress.tasks[0]
        self.progress.update(self.task, completed=task.completed // 1 + 1)
        self.progress.update(self.task, rate=rate(task.completed / (task.elapsed or 1.0)))
        if self.as_json:
            print(json.dumps(asdict(record)), flush=True)
        elif record.state == "failed" and self.quiet:  # else the summary lists it
            stderr.print(
                f"[red]failed[/] {escape(record.source)}: {escape(record.reason)}", highlight=False
            )

    def tell_window(self, record: ImageRecord, done: int, total: int) -> None:
        """Show how much of a raster is done."""
        whole = self.progress.tasks[0].completed // 1
        part = f"window {done:,} of {total:,}"
        self.progress.update(self.task, completed=whole + min(done / total, 0.999), rate=part)

    def end(self, summary: Summary) -> None:
        """Show what became of the images, what it cost, and where to look."""
        self.progress.stop()
        self.out = summary.out
        if self.as_json:
            self._end_json(summary)
        elif not self.quiet:
            self._end_table(summary)

    def _end_table(self, summary: Summary) -> None:
        counts, records = summary.records.counts(), summary.records
        done, failed, pending = counts["done"], counts["failed"], counts["pending"]
        if not summary.done_now:
            console.print(
                f"Nothing to do: all {len(records)} images are already done.", highlight=False
            )
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        left = f", {pending} still to do" if pending else ""
        table.add_row(
            "images", f"{done} done, {f'[red]{failed} failed[/]' if failed else '0 failed'}{left}"
        )
        seconds = summary.costs.seconds
        speed = f", {rate(done / seconds)}" if done and seconds else ""
        for one in records.first("empty", 1):
            empty = records.count_empty()
            such = f"{', such as' if empty > 1 else ':'} {escape(one.name)}"
            table.add_row("without a class", f"{empty}{such}")
        if summary.left_out:
            table.add_row("left out", escape(summary.left_out))
        table.add_row("time", f"{seconds:.1f} s{speed}")
        for stage, seconds in sorted(summary.costs.stages.items(), key=lambda item: -item[1]):
            table.add_row(f"  {escape(stage)}", f"{seconds:.2f} s")
        if summary.costs.peak_memory:
            table.add_row("peak memory", f"{summary.costs.peak_memory / 1e9:.2f} GB")
        if summary.costs.peak_device_memory:
            table.add_row(
                "peak memory of the GPU", f"{summary.costs.peak_device_memory / 1e9:.2f} GB"
            )
        if summary.score is not None:
            table.add_row(
                "mIoU",
                f"[bold]{100 * summary.score:.1f}[/] against the true masks of the sample scenes",
            )
        table.add_row("folder", escape(str(summary.out)))
        table.add_row("gallery", escape(str(summary.gallery)))
        show(table)
        for record in records.first("noted", SHOWN_NOTES):
            text = escape(f"{record.source}: {'; '.join(record.notes)}")
            console.print(f"[yellow]note[/] {text}", highlight=False)
        if (noted := records.count_noted()) > SHOWN_NOTES:
            more = f"notes on {noted - SHOWN_NOTES} more images are in images.sqlite"
            console.print(f"[yellow]note[/] {more}", highlight=False)
        for record in islice(records.each("failed"), SHOWN_FAILED):
            console.print(
                f"[red]failed[/] {escape(record.source)}: {escape(record.reason)}",
                highlight=False,
            )
        if failed > SHOWN_FAILED:
            more = f"{failed - SHOWN_FAILED} more: images.sqlite has the reasons"
            console.print(f"[red]failed[/] {more}", highlight=False)

    def _end_json(self, summary: Summary) -> None:
        plain = {
            **summary.records.counts(),
            "done_now": summary.done_now,
            "without_a_class": summary.records.count_empty(),
            "out": str(summary.out),
            "gallery": str(summary.gallery),
            "costs": asdict(summary.costs),
            "sample_miou": summary.score,
            "left_out": summary.left_out,
        }
        print(json.dumps({"summary": plain}), flush=True)


def rate(speed: float) -> str:
    """Say how fast images are done, of how many are done in a second."""
    return f"{speed:.1f} a second" if speed >= 1 else f"{1 / speed:.1f} s each"
