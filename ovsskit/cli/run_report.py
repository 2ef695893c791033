"""Tell a person, or a program, how a run goes.

Progress and notices go to standard error, results to standard output.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, console, progress_bar, show, stderr
from ovsskit.run.callbacks import Summary
from ovsskit.run.output.record import ImageRecord

SHOWN_NOTES = 5
"""On how many images notes are printed; `run.json` and the gallery hold all."""


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
        states = [record.state for record in summary.records]
        failed = states.count("failed")
        if not summary.done_now:
            console.print(
                f"Nothing to do: all {len(states)} images were done before.", highlight=False
            )
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        pending = f", {states.count('pending')} still to do" if "pending" in states else ""
        table.add_row(
            "images",
            f"{states.count('done')} done, "
            f"{f'[red]{failed} failed[/]' if failed else '0 failed'}{pending}",
        )
        done, seconds = states.count("done"), summary.costs.seconds
        speed = f", {rate(done / seconds)}" if done and seconds else ""
        empty = [record.name for record in summary.records if record.shows_nothing]
        if empty:
            such = f", such as {escape(empty[0])}" if empty[1:] else f": {escape(empty[0])}"
            table.add_row("without a class", f"{len(empty)}{such}")
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
        noted = [record for record in summary.records if record.notes]
        for record in noted[:SHOWN_NOTES]:
            text = escape(f"{record.source}: {'; '.join(record.notes)}")
            console.print(f"[yellow]note[/] {text}", highlight=False)
        if len(noted) > SHOWN_NOTES:
            more = f"notes on {len(noted) - SHOWN_NOTES} more images are in run.json"
            console.print(f"[yellow]note[/] {more}", highlight=False)
        for record in summary.records:
            if record.state == "failed":
                console.print(
                    f"[red]failed[/] {escape(record.source)}: {escape(record.reason)}",
                    highlight=False,
                )

    def _end_json(self, summary: Summary) -> None:
        states = [record.state for record in summary.records]
        counts = {state: states.count(state) for state in ("done", "failed", "pending")}
        plain = {
            **counts,
            "done_now": summary.done_now,
            "without_a_class": sum(record.shows_nothing for record in summary.records),
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
